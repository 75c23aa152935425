"""The training step, once for all backends.

It reads from top to bottom as a batch travels: forward pass, losses, weighting,
task gradients, one gradient, optimizer, what methods learn, metrics.
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
from keras_mtl.utils.keras_internals import warn_of_nothing_to_train


def train_step(model: Any, data: Any) -> dict[str, Tensor]:
    """Trains a `MultiTaskModel` on one batch.

    Args:
        model: The model, compiled.
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
        with backend.holding_losses(model):
            loss, objectives = evaluate(
                model, x, y, y_pred, sample_weight, predictions
            )
        scalars, objectives = _apart(objectives, taps.sources)
        return scalars, (loss, y_pred, objectives)

    (loss, y_pred, objectives), passes = backend.differentiate(
        forward, model, cuts=_cuts(model), sparse=_takes_sparse(model)
    )
    with backend.without_gradients():
        # Only now a subclassed model has its variables in its first batch.
        if model.trainable_variables:
            _take_step(model, passes, objectives, (x, y, sample_weight))
        else:
            warn_of_nothing_to_train()
        track_loss(model, loss, _batch_size(x))
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _take_step(
    model: Any, passes: Any, objectives: Objectives, batch: tuple
) -> None:
    """From backward passes to what variables and methods are afterwards."""
    tasks = _task_gradients(model, passes, objectives)
    gradients = aggregate(model, passes, tasks, objectives)
    observed = observe(model, tasks, objectives)
    # As large as the model, each: they need not outlive their use.
    del tasks
    applied = backend.apply_gradients(
        model.optimizer, gradients, model.trainable_variables
    )
    update_weighting(model, objectives, observed, batch)
    keep_state_of_step(model, objectives, applied)


def _batch_size(x: Any) -> Any:
    first = next(i for i in keras.tree.flatten(x) if i is not None)
    return backend.batch_size(first)


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
    """What gradients are taken of, and what the step carries on beside.

    What is carried out of JAX's forward pass is not what is differentiated.
    """
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
