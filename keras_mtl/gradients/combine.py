"""T gradients of every variable into one, by an aggregator."""

import inspect
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from keras import ops

from keras_mtl.gradients.gram import Column
from keras_mtl.gradients.gram import group_indices
from keras_mtl.gradients.gram import grouped_gram
from keras_mtl.gradients.gram import tasks_of
from keras_mtl.gradients.gram import total
from keras_mtl.gradients.gram import weighted_sum
from keras_mtl.objectives import Objectives

Tensor = Any


class Combined(NamedTuple):
    """One gradient a variable, and what was found on the way.

    Attributes:
        gradients: In the order of the variables; `None` where no task reaches.
        gram: Inner products `[T, T]` over all shared variables.
        weights: Task weights `[T]`, the mean over the groups.
    """

    gradients: list[Tensor | None]
    gram: Tensor
    weights: Tensor


def combine(
    aggregator: Any,
    columns: Sequence[Column],
    groups: Sequence[Any],
    objectives: Objectives,
    reduce_gram: Callable[[Tensor], Tensor] = lambda gram: gram,
) -> Combined:
    """Combines the task gradients of shared variables.

    A variable that one task alone reaches keeps that task's gradient: an
    aggregator arbitrates between tasks, and there is nothing to arbitrate.

    Args:
        aggregator: The `Aggregator`.
        columns: For each variable its T task gradients.
        groups: For each variable the group it belongs to.
        objectives: Task losses, for methods that look at them; the factor
            that loss scaling put on all gradients (the aggregator sees them
            without it, the result has it); which tasks take part.
        reduce_gram: Sums a Gram over replicas, when gradients are local.
    """
    shared = [
        v for v, column in enumerate(columns) if len(tasks_of(column)) > 1
    ]
    num_tasks = len(columns[0]) if columns else 0
    if not shared:
        raise ValueError(
            "No variable is reached by two or more tasks, so there is nothing "
            "to aggregate. Give `loss` two tasks or more that share layers "
            "which are trainable, or compile with `aggregator=None`. "
            f"Received: {num_tasks} task(s)"
        )
    scale = objectives.scale
    columns = [list(column) for column in columns]
    if getattr(aggregator, "uses_reference", False):
        _append_reference(aggregator, columns, shared, scale)

    shared_columns = [columns[v] for v in shared]
    shared_groups = [groups[v] for v in shared]
    grams = reduce_gram(grouped_gram(shared_columns, shared_groups))
    # One after the other: the square of a large scale is infinite.
    grams = grams / scale / scale
    task_grams = grams[:, :num_tasks, :num_tasks]
    if aggregator.needs_rows:
        combined = _combine_rows(
            aggregator, shared_columns, shared_groups, scale
        )
        weights = ops.full((num_tasks,), float("nan"))
    else:
        group_weights = _weights(aggregator, grams, objectives)
        combined = [
            weighted_sum(column, group_weights[group])
            for column, group in zip(
                shared_columns, group_indices(shared_groups)
            )
        ]
        weights = ops.mean(group_weights, axis=0)[:num_tasks]

    gradients: list[Tensor | None] = [
        total(column[:num_tasks]) for column in columns
    ]
    for v, gradient in zip(shared, combined):
        gradients[v] = gradient
    return Combined(gradients, ops.sum(task_grams, axis=0), weights)


def _append_reference(
    aggregator: Any, columns: list[list], shared: list[int], scale: Any
) -> None:
    """Adds the moving average of the main gradient as one more row."""
    main = aggregator.main_index
    gradients: list[Tensor | None] = [None] * len(columns)
    for v in shared:
        if columns[v][main] is not None:
            gradients[v] = ops.cast(columns[v][main], "float32") / scale
    reference = aggregator.update_reference(gradients)
    for column, row in zip(columns, reference):
        column.append(None if row is None else row * scale)


def _weights(aggregator: Any, grams: Tensor, objectives: Objectives) -> Tensor:
    """Task weights `[G, T]`, or `[G, T + 1]` where there is a reference."""
    if objectives.present is not None:
        grams = _stand_aside(grams, objectives.present)
    if getattr(aggregator, "uses_reference", False):
        weights = aggregator.reference_weights(grams)
    elif "losses" in inspect.signature(aggregator.weights).parameters:
        weights = aggregator.weights(grams, losses=objectives.losses)
    else:
        weights = aggregator.weights(grams)
    if tuple(getattr(weights, "shape", ())) != tuple(grams.shape[:-1]):
        raise ValueError(
            f"`{type(aggregator).__name__}.weights(gram)` should return one "
            "weight a task, shape [..., T], for a gram of shape [..., T, T]; "
            "leading axes are layers or variables. Received: weights of shape "
            f"{getattr(weights, 'shape', weights)} for a gram of shape "
            f"{tuple(grams.shape)}"
        )
    return weights


def _stand_aside(grams: Tensor, present: Tensor) -> Tensor:
    """Makes tasks that have no gradient in this batch conflict with nothing.

    A zero gradient is the shortest combination of all: MGDA would give it the
    whole weight, and one task without labels would stop all others. As long
    and orthogonal gradients they take next to no part in any method.
    """
    extra = grams.shape[-1] - present.shape[0]
    absent = ops.pad(1.0 - ops.cast(present, grams.dtype), (0, extra))
    squares = ops.diagonal(grams, axis1=-2, axis2=-1)
    long = 1e6 * ops.max(squares, axis=-1, keepdims=True)
    return grams + (long * absent)[..., None] * ops.eye(grams.shape[-1])


def _combine_rows(
    aggregator: Any,
    columns: Sequence[Column],
    groups: Sequence[Any],
    scale: Tensor | float,
) -> list[Tensor]:
    """Hands the Jacobian `[T, n]` of each group to the aggregator."""
    combined: list[Tensor | None] = [None] * len(columns)
    for group in dict.fromkeys(groups):
        members = [v for v, other in enumerate(groups) if other == group]
        rows = [_dense_rows(columns[v]) for v in members]
        sizes = [row.shape[1] for row in rows]
        jacobian = ops.concatenate(rows, axis=1) / scale
        vector = aggregator.combine(jacobian)
        if tuple(vector.shape) != (jacobian.shape[1],):
            raise ValueError(
                f"`{type(aggregator).__name__}.combine(jacobian)` should "
                "return one gradient, shape [n], for a jacobian of shape "
                f"[T, n]. Received: shape {tuple(vector.shape)} for a jacobian "
                f"of shape {tuple(jacobian.shape)}"
            )
        vector = vector * scale
        start = 0
        for v, size in zip(members, sizes):
            like = columns[v][tasks_of(columns[v])[0]]
            part = ops.reshape(vector[start : start + size], like.shape)
            combined[v] = ops.cast(part, like.dtype)
            start += size
    return combined


def _dense_rows(column: Column) -> Tensor:
    """The gradients of one variable as `[T, n]`, zeros for `None`."""
    like = column[tasks_of(column)[0]]
    rows = [ops.zeros_like(like) if g is None else g for g in column]
    return ops.stack(
        [ops.reshape(ops.cast(row, "float32"), (-1,)) for row in rows]
    )
