"""T gradients of every variable into one, by an aggregator."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.gradients.gram import group_indices
from keras_mtl.gradients.gram import largest_unit
from keras_mtl.gradients.gram import scaled_gram
from keras_mtl.gradients.gram import tasks_of
from keras_mtl.gradients.gram import total
from keras_mtl.gradients.gram import weighted_sum
from keras_mtl.gradients.sparse import Slices
from keras_mtl.gradients.sparse import SparseGradient
from keras_mtl.gradients.sparse import apply
from keras_mtl.gradients.sparse import dense
from keras_mtl.gradients.sparse import to_sparse_gradients
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import in_units
from keras_mtl.trainers.objectives import Objectives
from keras_mtl.types import Column
from keras_mtl.types import Tensor


class Combined(NamedTuple):
    """One gradient a variable, and what was found on the way.

    Attributes:
        gradients: In the order of the variables; `None` where no task reaches.
        gram: Inner products `[T, T]` of the gradients over `unit`, over the
            variables of its scope.
        weights: Task weights `[T]`, the mean over the groups.
        unit: Scalar in which the squares of gradients are in range.
    """

    gradients: list[Tensor | None]
    gram: Tensor
    weights: Tensor
    unit: Tensor


def combine(
    aggregator: Aggregator,
    columns: Sequence[Column],
    groups: Sequence[Any],
    objectives: Objectives,
    reduce_gram: Callable[[Tensor], Tensor] | None = None,
    measured: Sequence[Column] | None = None,
) -> Combined:
    """Combines the task gradients of shared variables.

    A variable that one task alone reaches keeps that task's gradient: an
    aggregator arbitrates between tasks, and there is nothing to arbitrate. If
    the scope of the aggregator is "all", the other gradients are zeros there.

    Args:
        aggregator: The `Aggregator`.
        columns: For each variable its T task gradients.
        groups: For each variable the group it belongs to.
        objectives: Task losses, for methods that look at them; the factor
            that loss scaling put on all gradients (the aggregator sees them
            without it, the result has it); which tasks take part.
        reduce_gram: Sums a tensor over replicas, when gradients are local.
        measured: What inner products are taken of in place of `columns`, for
            an aggregator that sees nothing else.
    """
    shared = _shared(aggregator, columns)
    num_tasks = len(columns[0])
    dtypes = [_dtype_of(columns[v]) for v in shared]
    scale = objectives.scale
    columns = _as_rows(aggregator, columns, shared)
    step = StepInfo(
        objectives.losses, objectives.present, aggregator.task_names
    )
    if aggregator.transforms:
        _transform(aggregator, columns, shared, step, scale)

    shared_columns = [columns[v] for v in shared]
    shared_groups = [groups[v] for v in shared]
    seen = shared_columns
    if measured is not None:
        seen = [measured[v] for v in shared]
    grams, units = scaled_gram(seen, shared_groups, reduce_gram)
    places = group_indices(shared_groups)
    if aggregator.sees_all_groups:
        places = _places_of_all(groups, shared_groups)
        grams = _of_all(grams, 0, groups, shared_groups)
        units = _of_all(units, 1, groups, shared_groups)
    # What gradients are divided by from here on: inner products, and so the
    # aggregator, see them without the loss scale. The weighted sum has it.
    units = units / scale
    if aggregator.sees == "gram":
        weights = _weights(aggregator, grams, units, step)
        combined = [
            weighted_sum(column, weights[place])
            for column, place in zip(shared_columns, places, strict=True)
        ]
        used = [weights[place] for place in dict.fromkeys(places)]
        weights = ops.mean(ops.stack(used), axis=0)[:num_tasks]
    else:
        combined = _combine_gradients(
            aggregator, shared_columns, shared_groups, step, scale
        )
        weights = ops.full((num_tasks,), float("nan"))

    # What is averaged, and rows of tables, are in float32, whatever the
    # variables are in: TensorFlow could not add another gradient to them.
    found = {
        v: ops.cast(gradient, dtype)
        for v, gradient, dtype in zip(shared, combined, dtypes, strict=True)
    }
    gradients = [
        found[v] if v in found else total(column)
        for v, column in enumerate(columns)
    ]
    task_grams = grams[:, :num_tasks, :num_tasks]
    unit = largest_unit(task_grams, units)
    gram = ops.sum(in_units(task_grams, units / unit), axis=0)
    return Combined(gradients, gram, weights, unit)


def _shared(aggregator: Aggregator, columns: Sequence[Column]) -> list[int]:
    """Places of the variables that an aggregator acts on."""
    reached = [len(tasks_of(column)) for column in columns]
    if all(count < 2 for count in reached):
        num_tasks = len(columns[0]) if columns else 0
        raise ValueError(
            "No variable is reached by two or more tasks, so there is nothing "
            "to aggregate. Give `loss` two tasks or more that share layers "
            "which are trainable, or compile with `aggregator=None`. "
            f"Received: {num_tasks} task(s)"
        )
    least = 1 if aggregator.scope == "all" else 2
    return [v for v, count in enumerate(reached) if count >= least]


def _as_rows(
    aggregator: Aggregator, columns: Sequence[Column], shared: Sequence[int]
) -> list[Column]:
    """Gradients of tables as rows where the aggregator takes them so."""
    sparse = aggregator.takes_sparse_gradients
    return [
        to_sparse_gradients(column)
        if sparse and v in shared
        else _to_dense(column)
        for v, column in enumerate(columns)
    ]


def _transform(
    aggregator: Aggregator,
    columns: list[Column],
    shared: list[int],
    step: StepInfo,
    scale: Tensor | float,
) -> None:
    """Puts what a method makes of the task gradients in their place.

    It sees them without the loss scale, which changes as training goes.
    """
    unscaled = [[None] * len(column) for column in columns]
    for v in shared:
        unscaled[v] = [
            None if g is None else apply(lambda g: _to_float32(g) / scale, g)
            for g in columns[v]
        ]
    transformed = aggregator.transform(unscaled, step)
    for v in shared:
        columns[v] = [
            None if row is None else apply(lambda row: row * scale, row)
            for row in transformed[v]
        ]


def _to_float32(tensor: Tensor) -> Tensor:
    return ops.cast(tensor, "float32")


def _dtype_of(column: Column) -> Any:
    """The type of the gradients of one variable."""
    gradient = column[tasks_of(column)[0]]
    is_tensor = not isinstance(gradient, (Slices, SparseGradient))
    return (gradient if is_tensor else gradient.values).dtype


def _to_dense(column: Column) -> list[Tensor | None]:
    return [dense(gradient) for gradient in column]


def _of_all(
    values: Tensor,
    other: float,
    groups: Sequence[Any],
    shared_groups: Sequence[Any],
) -> Tensor:
    """Values of all groups: state has a slot for each.

    Args:
        values: `[G, ...]`, of the groups with shared variables.
        other: What stands for those of groups without.
        groups: Of all variables.
        shared_groups: Of the shared variables.
    """
    found = list(dict.fromkeys(shared_groups))
    order = list(dict.fromkeys(groups))
    if found == order:
        return values
    fill = ops.full_like(values[:1], other)
    places = [
        found.index(group) if group in found else len(found) for group in order
    ]
    return ops.take(ops.concatenate([values, fill]), places, axis=0)


def _places_of_all(
    groups: Sequence[Any], shared_groups: Sequence[Any]
) -> list[int]:
    """Where in `_of_all` the group of each shared variable is."""
    order = list(dict.fromkeys(groups))
    return [order.index(group) for group in shared_groups]


def _weights(
    aggregator: Aggregator, grams: Tensor, units: Tensor, step: StepInfo
) -> Tensor:
    """Weights `[G, R]` of the rows, which are those of the tasks at first."""
    if not aggregator.scale_free:
        grams, units = in_units(grams, units), None
    weights = aggregator.update(grams, step._replace(unit=units))
    if tuple(getattr(weights, "shape", ())) != tuple(grams.shape[:-1]):
        raise ValueError(
            f"`{type(aggregator).__name__}.weights(gram)` should return one "
            "weight a task, shape [..., T], for a gram of shape [..., T, T]; "
            "leading axes are layers or variables. Received: weights of shape "
            f"{getattr(weights, 'shape', weights)} for a gram of shape "
            f"{tuple(grams.shape)}"
        )
    return weights


def _combine_gradients(
    aggregator: Aggregator,
    columns: Sequence[Column],
    groups: Sequence[Any],
    step: StepInfo,
    scale: Tensor | float,
) -> list[Tensor]:
    """Hands the Jacobian `[T, n]` of each group to the aggregator."""
    if aggregator.sees == "entries":
        return [_combine_entries(aggregator, c, step, scale) for c in columns]
    combined: list[Tensor | None] = [None] * len(columns)
    for group in dict.fromkeys(groups):
        members = [v for v, other in enumerate(groups) if other == group]
        group_columns = [columns[v] for v in members]
        parts = _combine_group(aggregator, group_columns, step, scale)
        for v, part in zip(members, parts, strict=True):
            combined[v] = part
    return combined


def _combine_entries(
    aggregator: Aggregator,
    column: Column,
    step: StepInfo,
    scale: Tensor | float,
) -> Tensor:
    """Combines the gradients of the tasks that reach one variable."""
    tasks = tasks_of(column)
    column = [column[t] for t in tasks]
    step = _of_tasks(step, tasks)
    return _combine_group(aggregator, [column], step, scale)[0]


def _of_tasks(step: StepInfo, tasks: Sequence[int]) -> StepInfo:
    """What is known of these tasks; a row after them belongs to none."""
    losses = ops.convert_to_tensor(step.losses)
    known = [t for t in tasks if t < losses.shape[0]]
    present = step.present
    if present is not None:
        present = ops.take(ops.convert_to_tensor(present), known, axis=0)
    return step._replace(
        losses=ops.take(losses, known, axis=0),
        present=present,
        tasks=tuple(tasks),
    )


def _combine_group(
    aggregator: Aggregator,
    columns: Sequence[Column],
    step: StepInfo,
    scale: Tensor | float,
) -> list[Tensor]:
    """The combined gradients of the variables of one group.

    Args:
        aggregator: A method that sees the gradients.
        columns: The gradients of each variable.
        step: Of the tasks in the columns.
        scale: The factor on all gradients.
    """
    rows = [_dense_rows(column) for column in columns]
    jacobian = rows[0] if len(rows) == 1 else ops.concatenate(rows, axis=1)
    jacobian = jacobian / scale
    vector = aggregator.combine(jacobian, step)
    if tuple(vector.shape) != (jacobian.shape[1],):
        raise ValueError(
            f"`{type(aggregator).__name__}.combine(jacobian)` should "
            "return one gradient, shape [n], for a jacobian of shape "
            f"[T, n]. Received: shape {tuple(vector.shape)} for a jacobian "
            f"of shape {tuple(jacobian.shape)}"
        )
    vector = vector * scale
    parts = [vector]
    if len(rows) > 1:
        ends = np.cumsum([row.shape[1] for row in rows])[:-1]
        parts = ops.split(vector, ends.tolist())
    likes = [column[tasks_of(column)[0]] for column in columns]
    return [
        ops.cast(ops.reshape(part, ops.shape(like)), like.dtype)
        for part, like in zip(parts, likes, strict=True)
    ]


def _dense_rows(column: Column) -> Tensor:
    """The gradients of one variable as `[T, n]`, zeros for `None`."""
    like = column[tasks_of(column)[0]]
    rows = [ops.zeros_like(like) if g is None else g for g in column]
    return ops.stack(
        [ops.reshape(ops.cast(row, "float32"), (-1,)) for row in rows]
    )
