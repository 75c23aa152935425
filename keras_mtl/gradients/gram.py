"""Inner products of task gradients, over a chosen granularity."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_mtl.gradients.precision import full_precision
from keras_mtl.row_gradient import RowGradient
from keras_mtl.row_gradient import apply
from keras_mtl.row_gradient import dense
from keras_mtl.row_gradient import entries_of
from keras_mtl.solvers.gram import power_of_two

Tensor = Any
# Entries of a row in a chunk, and the most chunks: they are unrolled.
CHUNK_LENGTH = 16384
MAX_CHUNKS = 32
# Squares of the longest gradient of a group between which float32 holds its
# inner products: it ends at 2**128, and below at 2**-126. That is further from
# SHORTEST, so that gradients 2**-31 times as long keep their squares, too.
SHORTEST = 2.0**-64
LONGEST = 2.0**96
# One gradient a task; `None` where the task does not reach the variable.
Column = Sequence[Tensor | RowGradient | None]


def tasks_of(column: Column) -> list[int]:
    """Indices of the tasks that reach a variable."""
    return [t for t, gradient in enumerate(column) if gradient is not None]


def total(column: Column) -> Tensor | None:
    """The plain sum over tasks; `None` where no task reaches."""
    present = [dense(gradient) for gradient in column if gradient is not None]
    return sum(present[1:], present[0]) if present else None


def add(left: Column, right: Column) -> list[Tensor | None]:
    """Sums two lists of gradients, in which `None` is zero."""
    return [total(pair) for pair in zip(left, right)]


def group_variables(variables: Sequence[Any], granularity: str) -> list[Any]:
    """A group for each variable: inner products are summed over a group."""
    if granularity == "model":
        return [0] * len(variables)
    if granularity == "layer":
        return [variable.path.rpartition("/")[0] for variable in variables]
    return list(range(len(variables)))


def column_gram(column: Column, chunked: bool = True) -> Tensor:
    """Inner products `[T, T]` of the task gradients of one variable.

    Taken over the tasks that reach the variable only, in float32: half
    precision could not hold the squares. Without chunks it takes longer to run
    and less to compile.
    """
    tasks = tasks_of(column)
    gram = _gram([column[t] for t in tasks], chunked)
    return _place(gram, tasks, len(column))


def _gram(gradients: list[Tensor | RowGradient], chunked: bool) -> Tensor:
    tables = [
        i for i, g in enumerate(gradients) if not isinstance(g, RowGradient)
    ]
    if len(tables) == len(gradients):
        return _dense_gram(gradients, chunked)
    # All have the same rows, and what is not whole is zero elsewhere.
    rows = next(g.rows for g in gradients if isinstance(g, RowGradient))
    gram = _dense_gram(
        [
            rows.of(ops.cast(g, "float32")) if i in tables else g.values
            for i, g in enumerate(gradients)
        ],
        chunked,
    )
    if not tables:
        return gram
    of_tables = _dense_gram([gradients[i] for i in tables], chunked)
    whole = np.isin(np.arange(len(gradients)), tables)
    return ops.where(
        whole[:, None] & whole, _place(of_tables, tables, len(gradients)), gram
    )


def _dense_gram(gradients: list[Tensor], chunked: bool) -> Tensor:
    rows = [ops.reshape(ops.cast(g, "float32"), (-1,)) for g in gradients]
    if len(rows) == 1:
        # No product to share the reading of rows: a sum is faster, and exact.
        return ops.reshape(ops.sum(ops.square(rows[0])), (1, 1))
    chunks = _chunks(rows) if chunked else [rows]
    return sum(_product(chunk) for chunk in chunks)


def _place(gram: Tensor, places: list[int], size: int) -> Tensor:
    """Spreads inner products over a matrix of zeros, at rows `places`."""
    if len(places) == size:
        return gram
    gram = ops.pad(gram, ((0, 1), (0, 1)))
    order = [places.index(i) if i in places else -1 for i in range(size)]
    order = np.array(order) % gram.shape[-1]
    return ops.take(ops.take(gram, order, axis=0), order, axis=1)


def _chunks(rows: list[Tensor]) -> list[list[Tensor]]:
    """Cuts long rows into pieces whose product stays in the cache.

    A product of two short, very long matrices is bound by memory: piece by
    piece it takes two thirds of the time with 8 tasks, half with 40.
    """
    length = rows[0].shape[0]
    if length is None or length <= CHUNK_LENGTH:
        return [rows]
    size = max(CHUNK_LENGTH, -(-length // MAX_CHUNKS))
    return [
        [row[start : start + size] for row in rows]
        for start in range(0, length, size)
    ]


def _product(rows: list[Tensor]) -> Tensor:
    matrix = ops.stack(rows)
    with full_precision():
        return ops.matmul(matrix, ops.transpose(matrix))


def grouped_gram(
    columns: Sequence[Column], groups: Sequence[Any], chunked: bool = True
) -> Tensor:
    """Sums the inner products of variables over groups, to `[G, T, T]`."""
    sums: dict[Any, Tensor] = {}
    for column, group in zip(columns, groups):
        gram = column_gram(column, chunked)
        sums[group] = sums[group] + gram if group in sums else gram
    return ops.stack(list(sums.values()))


def scaled_gram(
    columns: Sequence[Column], groups: Sequence[Any]
) -> tuple[Tensor, Tensor]:
    """Inner products of gradients whose squares may leave the range.

    Float32 has numbers of 1e-20 and 1e20, and not their squares. Where the
    longest gradient of a group is nearly as short or long as that, its inner
    products are taken once more, of gradients divided by about its largest
    entry. Else nothing is done twice, not for gradients of zeros either.

    Returns:
        Inner products `[G, T, T]` and what the gradients were divided by for
        them, `[G]`: one, or a power of two.
    """
    grams = grouped_gram(columns, groups)
    longest = ops.max(ops.diagonal(grams, axis1=-2, axis2=-1), axis=-1)
    # What is not a number is not in range either.
    in_range = ops.logical_and(longest > SHORTEST, longest < LONGEST)
    ones = ops.ones_like(longest)

    def rescaled() -> tuple[Tensor, Tensor]:
        largest = _largest_entries(columns, groups)
        units = ops.where(in_range, ones, power_of_two(largest))
        # Zeros (of a unit that is dead, say) may be out of range in every
        # step, and there is nothing to divide them by.
        found = ops.cond(
            ops.all(units == 1),
            lambda: grams,
            lambda: grouped_gram(
                _divided(columns, groups, units), groups, chunked=False
            ),
        )
        return found, units

    return ops.cond(ops.all(in_range), lambda: (grams, ones), rescaled)


def norms_of(rows: Sequence[Sequence[Tensor | RowGradient | None]]) -> Tensor:
    """Norms `[T]` of T gradients, whose squares may leave the range.

    Args:
        rows: For each task its gradients of some variables, of which it may
            reach none.
    """
    found = [[g for g in row if g is not None] for row in rows]
    columns = [[gradient] for row in found for gradient in row]
    if not columns:
        return ops.zeros((len(rows),), "float32")
    # Each task has a unit of its own: one may be far shorter than another.
    tasks = [t for t, row in enumerate(found) for _ in row]
    grams, units = scaled_gram(columns, tasks)
    norms = ops.sqrt(grams[:, 0, 0]) * units
    places = dict(zip(dict.fromkeys(tasks), range(len(rows))))
    return ops.stack(
        [
            norms[places[t]] if t in places else ops.zeros((), "float32")
            for t in range(len(rows))
        ]
    )


def _divided(
    columns: Sequence[Column], groups: Sequence[Any], units: Tensor
) -> list[Column]:
    """Gradients over the units `[G]` of their groups, in float32."""
    return [
        [
            None if g is None else apply(lambda g: _divide(g, unit), g)
            for g in column
        ]
        for column, unit in zip(
            columns, [units[place] for place in group_indices(groups)]
        )
    ]


def _divide(gradient: Tensor, unit: Tensor) -> Tensor:
    return ops.cast(gradient, "float32") / unit


def _largest_entries(
    columns: Sequence[Column], groups: Sequence[Any]
) -> Tensor:
    """Of all gradients of each group, `[G]`."""
    largest: dict[Any, list[Tensor]] = {}
    for column, group in zip(columns, groups):
        largest.setdefault(group, []).extend(
            ops.max(ops.abs(ops.cast(entries_of(g), "float32")))
            for g in column
            if g is not None
        )
    return ops.stack([ops.max(ops.stack(sizes)) for sizes in largest.values()])


def group_indices(groups: Sequence[Any]) -> list[int]:
    """Position of each variable's group in `grouped_gram`."""
    order = list(dict.fromkeys(groups))
    return [order.index(group) for group in groups]


def weighted_sum(column: Column, weights: Tensor) -> Tensor:
    """`sum_t weights[t] * column[t]` over the tasks that reach the variable."""
    tasks = tasks_of(column)
    rows, tables = [], []
    for t in tasks:
        gradient = column[t]
        # In float32: a weight can be beyond the range of half precision.
        if isinstance(gradient, RowGradient):
            rows.append(weights[t] * ops.cast(gradient.values, weights.dtype))
        else:
            tables.append(weights[t] * ops.cast(gradient, weights.dtype))
    if not rows:
        return ops.cast(sum(tables), column[tasks[0]].dtype)
    like = next(g for g in column if isinstance(g, RowGradient))
    combined = like.map(lambda _: sum(rows))
    if not tables:
        return combined.dense()
    return ops.cast(combined.add_to(sum(tables)), like.dtype)
