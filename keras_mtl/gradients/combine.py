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
    losses: Tensor,
    scale: Tensor | float = 1.0,
    reduce_gram: Callable[[Tensor], Tensor] = lambda gram: gram,
) -> Combined:
    """Combines the task gradients of shared variables.

    A variable that one task alone reaches keeps that task's gradient: an
    aggregator arbitrates between tasks, and there is nothing to arbitrate.

    Args:
        aggregator: The `Aggregator`.
        columns: For each variable its T task gradients.
        groups: For each variable the group it belongs to.
        losses: Task losses `[T]`, for methods that look at them.
        scale: Factor that loss scaling put on all gradients. The aggregator
            sees them without it; the result has it.
        reduce_gram: Sums a Gram over replicas, when gradients are local.
    """
    shared = [
        v for v, column in enumerate(columns) if len(tasks_of(column)) > 1
    ]
    if not shared:
        raise ValueError(
            "No variable is reached by two or more tasks, so there is nothing "
            "to aggregate. Let the tasks share layers, or compile with "
            "`aggregator=None`."
        )
    columns = [list(column) for column in columns]
    num_tasks = len(columns[0])
    if getattr(aggregator, "uses_reference", False):
        _append_reference(aggregator, columns, shared, scale)

    shared_columns = [columns[v] for v in shared]
    shared_groups = [groups[v] for v in shared]
    grams = reduce_gram(grouped_gram(shared_columns, shared_groups))
    grams = ops.divide(grams, ops.square(scale))
    task_grams = grams[:, :num_tasks, :num_tasks]
    if aggregator.needs_rows:
        combined = _combine_rows(aggregator, shared_columns, shared_groups)
        weights = ops.full((num_tasks,), float("nan"))
    else:
        group_weights = _weights(aggregator, grams, losses)
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


def _weights(aggregator: Any, grams: Tensor, losses: Tensor) -> Tensor:
    """Task weights `[G, T]`, or `[G, T + 1]` where there is a reference."""
    if getattr(aggregator, "uses_reference", False):
        return aggregator.reference_weights(grams)
    if "losses" in inspect.signature(aggregator.weights).parameters:
        return aggregator.weights(grams, losses=losses)
    return aggregator.weights(grams)


def _combine_rows(
    aggregator: Any, columns: Sequence[Column], groups: Sequence[Any]
) -> list[Tensor]:
    """Hands the Jacobian `[T, n]` of each group to the aggregator."""
    combined: list[Tensor | None] = [None] * len(columns)
    for group in dict.fromkeys(groups):
        members = [v for v, other in enumerate(groups) if other == group]
        rows = [_dense_rows(columns[v]) for v in members]
        sizes = [row.shape[1] for row in rows]
        vector = aggregator.combine(ops.concatenate(rows, axis=1))
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
