"""Inner products of task gradients, over a chosen granularity."""

import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_mtl.backend import full_precision
from keras_mtl.gradients.sparse import SparseGradient
from keras_mtl.gradients.sparse import dense
from keras_mtl.gradients.sparse import entries_of
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import in_units
from keras_mtl.solvers.matrices import power_of_two
from keras_mtl.types import Column
from keras_mtl.types import Gradient
from keras_mtl.types import Tensor

# Entries of a row in a chunk, and the most chunks: they are unrolled.
CHUNK_LENGTH = 16384
MAX_CHUNKS = 32
# About how many entries of a gradient are looked at for its size: each is read
# from a place of its own in memory, and a pass over a whole kernel takes as
# long as the inner products.
SAMPLE_SIZE = 1024
LARGEST_SAMPLE = 4096
# Sizes of gradients between which float32 holds the squares of them, of those
# 2**-30 times as small, and sums of many: it ends at 2**128 and at 2**-126.
SMALLEST = 2.0**-32
LARGEST = 2.0**48
# The least unit: entries that were not looked at may be up to 2**14, however
# short the others are, and those of 2**-110 still count.
SMALLEST_UNIT = 2.0**-48
# The unit where all that was looked at is zero: the others may be anything from
# 2**-86 to 2**38.
UNIT_OF_ZEROS = 2.0**-24


def tasks_of(column: Column) -> list[int]:
    """Indices of the tasks that reach a variable."""
    return [t for t, gradient in enumerate(column) if gradient is not None]


def total(column: Column) -> Tensor | None:
    """The plain sum over tasks; `None` where no task reaches."""
    present: list[Tensor] = [dense(g) for g in column if g is not None]
    return sum(present[1:], present[0]) if present else None


def add_columns(
    left: Sequence[Gradient], right: Sequence[Gradient]
) -> list[Tensor | None]:
    """Sums two lists of gradients, in which `None` is zero."""
    return [total(pair) for pair in zip(left, right, strict=True)]


def group_variables(variables: Sequence[Any], granularity: str) -> list[Any]:
    """A group for each variable: inner products are summed over a group."""
    if granularity == "model":
        return [0] * len(variables)
    if granularity == "layer":
        return [variable.path.rpartition("/")[0] for variable in variables]
    return list(range(len(variables)))


def column_gram(column: Column, unit: Tensor | None = None) -> Tensor:
    """Inner products `[T, T]` of the task gradients of one variable.

    Taken over the tasks that reach the variable only, in float32: half
    precision could not hold the squares.

    Args:
        column: The gradients.
        unit: Power of two that they are divided by; None for one.
    """
    tasks = tasks_of(column)
    gram = _gram([column[t] for t in tasks], unit)
    return _place(gram, tasks, len(column))


def _gram(
    gradients: list[Tensor | SparseGradient], unit: Tensor | None
) -> Tensor:
    tables = [
        i for i, g in enumerate(gradients) if not isinstance(g, SparseGradient)
    ]
    if len(tables) == len(gradients):
        return _dense_gram(gradients, unit)
    # All have the same rows, and what is not whole is zero elsewhere.
    rows = next(g.rows for g in gradients if isinstance(g, SparseGradient))
    gram = _dense_gram(
        [
            rows.of(ops.cast(g, "float32")) if i in tables else g.values
            for i, g in enumerate(gradients)
        ],
        unit,
    )
    if not tables:
        return gram
    of_tables = _dense_gram([gradients[i] for i in tables], unit)
    whole = np.isin(np.arange(len(gradients)), tables)
    return ops.where(
        whole[:, None] & whole, _place(of_tables, tables, len(gradients)), gram
    )


def _dense_gram(gradients: list[Tensor], unit: Tensor | None) -> Tensor:
    rows = [ops.reshape(ops.cast(g, "float32"), (-1,)) for g in gradients]
    if len(rows) == 1:
        # No product to share the reading of rows: a sum is faster, and exact.
        square = ops.sum(ops.square(_divide(rows[0], unit)))
        return ops.reshape(square, (1, 1))
    return sum(_product(chunk, unit) for chunk in _chunks(rows))


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


def _product(rows: list[Tensor], unit: Tensor | None) -> Tensor:
    # Divided before they are stacked, which XLA does in one go.
    matrix = ops.stack([_divide(row, unit) for row in rows])
    with full_precision():
        return ops.matmul(matrix, ops.transpose(matrix))


def _divide(row: Tensor, unit: Tensor | None) -> Tensor:
    # A power of two: its inverse is as exact, and faster.
    return row if unit is None else row * (1.0 / unit)


def scaled_gram(
    columns: Sequence[Column],
    groups: Sequence[Any],
    add_replicas: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Inner products of gradients, summed over groups of variables.

    Float32 has numbers of 1e-20 and 1e20, and not their squares. Where the
    gradients of a variable are nearly as small or large as that, they are
    divided by about their largest entry.

    Args:
        columns: The gradients of each variable.
        groups: The group of each variable.
        add_replicas: Sums a tensor over replicas, each of which has gradients
            of its own; None for one device.

    Returns:
        Inner products `[G, T, T]` and what the gradients were divided by for
        them, `[G]`: one, or a power of two.
    """
    sizes = [_largest_entry(column) for column in columns]
    if add_replicas is not None:
        # With a unit for all, what replicas have can be added up. The sum of
        # their sizes is one that each of them knows.
        sizes = ops.unstack(add_replicas(ops.stack(sizes)), len(sizes))
    # A unit of its own for each variable: with one for a group, no product
    # could be taken before the backward pass of the last task has ended.
    units = [_unit(size) for size in sizes]
    products = [
        column_gram(c, unit) for c, unit in zip(columns, units, strict=True)
    ]
    if add_replicas is not None:
        # Before it is looked for what is zero, which must be so for all.
        products = ops.unstack(add_replicas(ops.stack(products)), len(sizes))
    members: dict[Any, list[tuple[Tensor, Tensor]]] = {}
    for group, product, unit in zip(groups, products, units, strict=True):
        members.setdefault(group, []).append((product, unit))
    sums = [
        _sum_of_products(*zip(*found, strict=True))
        for found in members.values()
    ]
    grams, units = (ops.stack(values) for values in zip(*sums, strict=True))
    return grams, units


def _sum_of_products(
    grams: Sequence[Tensor], units: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """The sum of the inner products of variables, and its unit.

    Args:
        grams: `[T, T]` of each variable, of its gradients over its unit.
        units: Scalars.
    """
    products, units = ops.stack(grams), ops.stack(units)
    unit = largest_unit(products, units)
    if len(grams) == 1:
        return grams[0], unit
    return ops.sum(in_units(products, units / unit), axis=0), unit


def largest_unit(grams: Tensor, units: Tensor) -> Tensor:
    """The largest unit of what is not zero; one where all is.

    Zeros fit into any unit: theirs must not hide what is small in others.

    Args:
        grams: `[N, T, T]`, of gradients over the units.
        units: `[N]`.
    """
    zero = ops.all(diagonal(grams) == 0, axis=-1)
    largest = ops.max(ops.where(zero, 0.0, units))
    return ops.where(ops.all(zero), 1.0, largest)


def _unit(size: Tensor) -> Tensor:
    """One, or a power of two for gradients with about this largest entry.

    It leaves entries of 2**-32, for only some were looked at: squares of others
    stay in range down to 2**-31 times as much and up to 2**95 times.
    """
    # The inverse of the largest power of two would be rounded to zero.
    unit = power_of_two(ops.minimum(size, 2.0**94)) * 2.0**32
    unit = ops.maximum(unit, SMALLEST_UNIT)
    # What is not finite has no size.
    small = ops.logical_and(size > 0, size <= SMALLEST)
    large = ops.logical_and(size >= LARGEST, ops.isfinite(size))
    unit = ops.where(ops.logical_or(small, large), unit, 1.0)
    return ops.where(size == 0, UNIT_OF_ZEROS, unit)


def _largest_entry(column: Column) -> Tensor:
    """About that of the gradients of one variable."""
    return ops.max(ops.stack([_size(g) for g in column if g is not None]))


def _size(gradient: Tensor | SparseGradient) -> Tensor:
    """About the largest entry, up to what squares leave room for.

    Of every so many entries: to look at all takes a tenth of a step.
    """
    entries = entries_of(gradient)
    stride = _stride(tuple(entries.shape))
    entries = ops.reshape(entries, (-1,))[::stride]
    # A batch without examples looks up no rows of a table.
    return ops.max(ops.abs(ops.cast(entries, "float32")), initial=0.0)


def _stride(shape: tuple[int, ...]) -> int:
    """Distance of the entries to look at, which comes to all columns.

    A kernel's columns are units: some may be dead, and have gradients of zeros.
    """
    if None in shape:
        return 1
    width = math.prod(shape[1:])
    sample = min(max(SAMPLE_SIZE, 2 * width), LARGEST_SAMPLE)
    stride = max(1, math.prod(shape) // sample)
    while math.gcd(stride, width) > 1:
        stride -= 1
    return stride


def norms_of(
    rows: Sequence[Sequence[Tensor | SparseGradient | None]],
) -> Tensor:
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
    places = {t: place for place, t in enumerate(dict.fromkeys(tasks))}
    return ops.stack(
        [
            norms[places[t]] if t in places else ops.zeros((), "float32")
            for t in range(len(rows))
        ]
    )


def group_indices(groups: Sequence[Any]) -> list[int]:
    """Position of each variable's group in `scaled_gram`."""
    order = list(dict.fromkeys(groups))
    return [order.index(group) for group in groups]


def weighted_sum(column: Column, weights: Tensor) -> Tensor:
    """`sum_t weights[t] * column[t]` over the tasks that reach the variable."""
    tasks = tasks_of(column)
    rows, tables = [], []
    for t in tasks:
        gradient = column[t]
        # In float32: a weight can be beyond the range of half precision.
        if isinstance(gradient, SparseGradient):
            rows.append(weights[t] * ops.cast(gradient.values, weights.dtype))
        else:
            tables.append(weights[t] * ops.cast(gradient, weights.dtype))
    if not rows:
        return ops.cast(sum(tables), column[tasks[0]].dtype)
    like = next(g for g in column if isinstance(g, SparseGradient))
    combined = like.map(lambda _: sum(rows))
    if not tables:
        return combined.dense()
    return ops.cast(combined.add_to(sum(tables)), like.dtype)
