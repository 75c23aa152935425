"""Losses and metrics that know the tasks, in the place of those of Keras."""

from typing import Any

from keras_mtl import backend
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.task_losses import TaskLosses
from keras_mtl.trainers.task_metrics import TaskMetrics
from keras_mtl.trainers.whole_batch_mean import WholeBatchMean
from keras_mtl.utils.keras_internals import DotNotTrackScope


def tell_tasks_apart(
    model: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    as_stock: bool,
) -> None:
    """Replaces what `keras.Model.compile` has made of these.

    Args:
        model: A `MultiTaskModel` that is being compiled.
        loss, loss_weights, metrics, weighted_metrics: As for `compile`.
        as_stock: Whether the model is to do what Keras does and no more.
    """
    names = getattr(model, "output_names", None)
    missing_label = model.missing_label
    whole_labels = settings_of(model).whole_labels
    if loss is not None:
        model._compile_loss = TaskLosses(
            loss,
            loss_weights,
            names,
            missing_label,
            as_stock=as_stock,
            whole_labels=whole_labels,
        )
    # Keras' own metrics are not tracked by the model either.
    with DotNotTrackScope():
        if model._compile_metrics is not None:
            model._compile_metrics = TaskMetrics(
                metrics,
                weighted_metrics,
                names,
                missing_label,
                whole_labels,
                as_stock,
            )
        if missing_label is not None and backend.num_replicas() > 1:
            model._loss_tracker = WholeBatchMean(name="loss")
