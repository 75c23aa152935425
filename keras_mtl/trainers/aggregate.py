"""From T task gradients to the gradient that the optimizer is given."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl import backend
from keras_mtl.gradients.gram import add_columns
from keras_mtl.gradients.gram import group_variables
from keras_mtl.gradients.gram import tasks_of
from keras_mtl.gradients.gram import total
from keras_mtl.gradients.sparse import dense
from keras_mtl.trainers.batch_reduction import FLATTEN
from keras_mtl.trainers.batch_reduction import reduce_batch
from keras_mtl.trainers.combine import Combined
from keras_mtl.trainers.combine import combine
from keras_mtl.trainers.cut import check_cut
from keras_mtl.trainers.nothing_shared import accept_frozen
from keras_mtl.trainers.nothing_shared import positions_of
from keras_mtl.trainers.nothing_shared import shared_places
from keras_mtl.trainers.objectives import Objectives
from keras_mtl.trainers.scaled_heads import scale_heads
from keras_mtl.trainers.settings import arbitrated_variables
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.settings import takes_values
from keras_mtl.types import Gradient
from keras_mtl.types import Tensor


def aggregate(
    model: Any,
    passes: Any,
    tasks: Sequence[backend.Gradients],
    objectives: Objectives,
) -> list[Gradient]:
    """One gradient a trainable variable.

    Args:
        model: A `MultiTaskModel`.
        passes: The backward passes, as `backend.differentiate` returns them.
        tasks: The gradients of each task; nothing without an aggregator.
        objectives: Of this step.
    """
    if model.aggregator is None:
        return passes.total()
    objectives = _of_whole_batch(objectives)
    rest = passes.rest()
    if settings_of(model).representation is not None:
        return _aggregate_at_cut(model, passes, tasks, rest, objectives)
    rows = _sum_over_replicas([gradients.variables for gradients in tasks])
    found = _combine_variables(model, rows, objectives)
    replicas = backend.num_replicas()
    if replicas > 1:
        # The optimizer sums over replicas once more.
        found = [None if g is None else g / replicas for g in found]
    return found if rest is None else add_columns(found, rest.variables)


def _aggregate_at_cut(
    model: Any,
    passes: Any,
    tasks: Sequence[backend.Gradients],
    rest: backend.Gradients | None,
    objectives: Objectives,
) -> list[Gradient]:
    """T backward passes down to the representation, one below it."""
    result = _combine_at_cut(model, [g.cut for g in tasks], objectives)
    signal = result.gradients
    heads = [gradients.variables for gradients in tasks]
    if rest is not None:
        signal = add_columns(signal, rest.cut)
    below = passes.below(signal)
    check_cut(model, heads, below)
    if _trains_below(model, below):
        _note_conflict(model, result)
        if settings_of(model).scale_heads:
            columns = [list(column) for column in zip(*heads, strict=True)]
            columns = scale_heads(model, columns, result.weights)
            heads = [list(row) for row in zip(*columns, strict=True)]
    else:
        # What the tasks want of frozen layers moves nothing.
        accept_frozen(model)
    gradients = below
    for row in heads + ([] if rest is None else [rest.variables]):
        gradients = add_columns(gradients, row)
    return gradients


def _combine_variables(
    model: Any, rows: list[list[Gradient]], objectives: Objectives
) -> list[Gradient]:
    """One gradient a variable from T."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    variables = model.trainable_variables
    arbitrated = arbitrated_variables(model)
    positions = positions_of(arbitrated, variables)
    found: dict[int, Gradient] = {}
    if shared_places(columns, positions):
        result = combine(
            model.aggregator,
            [columns[i] for i in positions],
            group_variables(arbitrated, model.aggregator.granularity),
            objectives,
        )
        _note_conflict(model, result)
        found = dict(zip(positions, result.gradients, strict=True))
        if settings_of(model).scale_heads:
            shared = shared_places(columns, positions)
            found = {i: found[i] for i in shared}
            columns = _without(columns, shared)
            columns = scale_heads(model, columns, result.weights)
    else:
        accept_frozen(model)
    return [
        found[i] if i in found else _of_one(variable, column)
        for i, (variable, column) in enumerate(
            zip(variables, columns, strict=True)
        )
    ]


def _without(
    columns: Sequence[list[Gradient]], places: Sequence[int]
) -> list[list[Gradient]]:
    """The gradients of each variable, with none at some places."""
    return [
        [None] * len(column) if i in places else column
        for i, column in enumerate(columns)
    ]


def _of_one(variable: keras.Variable, column: list[Gradient]) -> Gradient:
    """The gradient of a variable that nobody arbitrates."""
    present = [g for g in column if g is not None]
    if present and takes_values(variable):
        largest = present[0]
        for other in present[1:]:
            largest = ops.maximum(largest, other)
        return largest
    return total(column)


def _combine_at_cut(
    model: Any, rows: list[list[Tensor | None]], objectives: Objectives
) -> Combined:
    """One gradient at the representation from T, and how it was made."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    if all(len(tasks_of(column)) < 2 for column in columns):
        name = settings_of(model).representation.name
        raise ValueError(
            f"The representation '{name}' leads to "
            "less than two tasks, so there is nothing to aggregate. Name "
            "the last layer that the tasks share."
        )
    reduce_gram, measured = None, None
    reduction = settings_of(model).representation_reduction
    if reduction != FLATTEN:
        measured = _sum_over_replicas(reduce_batch(columns, reduction))
    elif backend.num_replicas() > 1:
        # Rows of a representation belong to examples: their Grams add up.
        reduce_gram = backend.sum_over_replicas
    return combine(
        model.aggregator,
        columns,
        [0] * len(columns),
        objectives,
        reduce_gram,
        measured,
    )


def _note_conflict(model: Any, result: Combined) -> None:
    model.gradient_conflict.update_state(
        result.gram, result.weights, result.unit
    )


def _trains_below(model: Any, below: list[Tensor | None]) -> bool:
    variables = model.trainable_variables
    places = positions_of(arbitrated_variables(model), variables)
    return any(below[i] is not None for i in places)


def _of_whole_batch(objectives: Objectives) -> Objectives:
    """What an aggregator looks at, alike on all replicas."""
    if backend.num_replicas() == 1:
        return objectives
    # Losses are scaled for distribution: their sum is that of the batch.
    losses = backend.sum_over_replicas(objectives.losses)
    present = objectives.present
    if present is not None:
        # A task has labels if it has some on any replica.
        counts = backend.sum_over_replicas(ops.cast(present, "float32"))
        present = counts > 0
    return objectives._replace(losses=losses, present=present)


def _sum_over_replicas(rows: list[list[Gradient]]) -> list[list[Gradient]]:
    """The gradients of the whole batch: to combine them is not linear."""
    if backend.num_replicas() == 1:
        return rows
    rows = [[dense(g) for g in row] for row in rows]
    present = [[g for g in row if g is not None] for row in rows]
    reduced = [iter(row) for row in backend.sum_over_replicas(present)]
    return [
        [None if g is None else next(values) for g in row]
        for row, values in zip(rows, reduced, strict=True)
    ]
