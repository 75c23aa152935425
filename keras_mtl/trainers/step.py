"""The training step, once for all backends.

It reads from top to bottom as a batch travels: labels, forward pass, losses,
weighting, task gradients, one gradient, optimizer, what methods learn, metrics.
`docs/architecture.md` has the picture.
"""

from collections.abc import Callable
from typing import Any

import keras

from keras_mtl import backend
from keras_mtl.trainers.aggregate import aggregate
from keras_mtl.trainers.evaluate import evaluate
from keras_mtl.trainers.objectives import Objectives
from keras_mtl.trainers.observations import observe
from keras_mtl.trainers.observations import update_weighting
from keras_mtl.trainers.settings import observes_gradients
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.taken_step import keep_state_of_step
from keras_mtl.trainers.taps import open_taps
from keras_mtl.trainers.taps import predict_auxiliaries
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import call_for_training
from keras_mtl.utils.keras_internals import track_loss


def train_step(model: Any, data: Any) -> dict[str, Tensor]:
    """Trains a `MultiTaskModel` on one batch.

    Args:
        model: The model, compiled and built, with something to train.
        data: A batch as `keras.utils.pack_x_y_sample_weight` makes it, with
            class weights among the sample weights.

    Returns:
        The logs.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

    def forward(cut: Callable[[Tensor], Tensor]) -> tuple[Any, Any]:
        with open_taps(model, cut) as taps:
            y_pred = call_for_training(model, x)
        predictions = predict_auxiliaries(model, taps)
        loss, objectives = evaluate(
            model, x, y, y_pred, sample_weight, predictions
        )
        scalars, objectives = _apart(objectives, taps.sources)
        return scalars, (loss, y_pred, objectives)

    (loss, y_pred, objectives), passes = backend.differentiate(
        forward, model, cuts=_cuts(model), sparse=_takes_sparse(model)
    )
    with backend.without_gradients():
        variables = model.trainable_variables
        rows = _task_gradients(model, passes, objectives)
        update = aggregate(model, passes, rows, objectives)
        seen = observe(model, rows, objectives)
        update = backend.apply_gradients(model.optimizer, update, variables)
        update_weighting(model, objectives, seen, (x, y, sample_weight))
        keep_state_of_step(model, objectives, update)
        track_loss(model, loss, x)
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _task_gradients(
    model: Any, passes: Any, objectives: Objectives
) -> list[backend.Gradients]:
    """The gradients of each task, where anyone looks at them."""
    if model.aggregator is None and not observes_gradients(model):
        return []
    return [passes.task(t) for t in range(len(objectives.tasks))]


def _apart(
    objectives: Objectives, sources: list[Tensor]
) -> tuple[backend.Scalars, Objectives]:
    """What gradients are taken of, and what the step carries on beside."""
    rest = [] if objectives.rest is None else [objectives.rest]
    scalars = backend.Scalars(objectives.tasks, rest, sources)
    tasks = [None] * len(objectives.tasks)
    return scalars, objectives._replace(tasks=tasks, rest=None)


def _cuts(model: Any) -> bool:
    """Whether gradients stop at a representation."""
    return settings_of(model).representation is not None


def _takes_sparse(model: Any) -> bool:
    """Whether gradients of embedding tables may come as their rows alone."""
    aggregator = model.aggregator
    if aggregator is None or _cuts(model):
        return False
    return aggregator.takes_sparse_gradients
