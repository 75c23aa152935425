"""The losses of one batch: what is logged, and what is minimised."""

from typing import Any

import keras

from keras_mtl.trainers.building import build_methods
from keras_mtl.trainers.objectives import Objectives
from keras_mtl.trainers.objectives import make_objectives
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.task_losses import TaskRecord
from keras_mtl.trainers.task_names import all_task_names
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import additional_loss
from keras_mtl.utils.keras_internals import compute_loss
from keras_mtl.utils.keras_internals import unscale_loss_for_distribution


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    y_pred: Any,
    sample_weight: Any,
    predictions: dict[str, Tensor],
) -> tuple[Tensor, Objectives]:
    """Evaluates the losses once.

    Args:
        model: A `MultiTaskModel`.
        x, y, y_pred, sample_weight: As for `keras.Model.compute_loss`.
        predictions: What auxiliaries predict, by output.

    Returns:
        The loss that is logged, and the objectives of the step.
    """
    losses = model.task_losses
    with losses.recording(predictions) as record:
        loss = compute_loss(model, x, y, y_pred, sample_weight)
    if not record.losses:
        raise ValueError(
            "The losses of the tasks were not computed. A `compute_loss` "
            "of your own must call `super().compute_loss(...)` and may add "
            "to it; otherwise compile with `aggregator=None` and "
            "`weighting=None`."
        )
    build_methods(model, all_task_names(model))
    # Before anything that a method may remember or draw.
    state = model.method_state.values()
    settings = settings_of(model)
    for index, tracker in settings.auxiliary_trackers.items():
        tracker.update_state(
            unscale_loss_for_distribution(record.auxiliary_losses[index]),
            sample_weight=record.auxiliary_labelled.get(index),
        )
    objectives = make_objectives(
        record,
        _rest(model, loss, record),
        task_weights=losses.task_weights,
        auxiliaries=model.auxiliaries,
        weighting=settings.weighting,
        optimizer=model.optimizer,
    )
    if settings.not_finite is not None:
        settings.not_finite.update_state(objectives.losses)
    return loss, objectives._replace(state=state)


def _rest(model: Any, loss: Tensor, record: TaskRecord) -> Tensor | None:
    """What the loss holds beside the tasks, or `None`."""
    if type(model).compute_loss is not keras.Model.compute_loss:
        # Whatever the user's `compute_loss` adds: nothing gets lost.
        weights = model.task_losses.task_weights
        # A sum, because of a batch with no example Keras makes no scalar.
        return keras.ops.sum(loss) - sum(
            weight * record.losses[t] for t, weight in enumerate(weights)
        )
    terms = [additional_loss(model, term) for term in model.losses]
    return sum(terms) if terms else None
