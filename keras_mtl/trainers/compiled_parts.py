"""Losses and metrics that know the tasks, in the place of those of Keras."""

from typing import Any

from keras_mtl import backend
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.task_losses import TaskLosses
from keras_mtl.trainers.task_metrics import TaskMetrics
from keras_mtl.trainers.whole_batch_mean import WholeBatchMean
from keras_mtl.utils.keras_internals import DotNotTrackScope
from keras_mtl.utils.keras_internals import metrics_of
from keras_mtl.utils.keras_internals import replace_losses
from keras_mtl.utils.keras_internals import replace_metrics
from keras_mtl.utils.keras_internals import replace_tracker


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
        losses = TaskLosses(
            loss,
            loss_weights,
            names,
            missing_label,
            as_stock=as_stock,
            whole_labels=whole_labels,
        )
        replace_losses(model, losses)
    # Keras' own metrics are not tracked by the model either.
    with DotNotTrackScope():
        if metrics_of(model) is not None:
            judges = TaskMetrics(
                metrics,
                weighted_metrics,
                names,
                missing_label,
                whole_labels,
                as_stock,
            )
            replace_metrics(model, judges)
        if missing_label is not None and backend.num_replicas() > 1:
            replace_tracker(model, WholeBatchMean(name="loss"))
