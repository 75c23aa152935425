"""Which losses and metrics of Keras judge a matrix of labels cell by cell.

Labels `(batch_size, C)` of C targets can be known in part. A loss that is the
mean over the last axis of something that each cell has by itself can leave out
a cell. One that compares a row as a whole, as a crossentropy of one-hot labels
does, cannot.
"""

from typing import Any

from keras import losses
from keras import metrics
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import LossFunctionWrapper
from keras_mtl.utils.keras_internals import squeeze_or_expand_to_same_rank
from keras_mtl.utils.keras_internals import wrapped_function

_MEANS_OF_CELLS = (
    losses.binary_crossentropy,
    losses.binary_focal_crossentropy,
    losses.hinge,
    losses.huber,
    losses.log_cosh,
    losses.mean_absolute_error,
    losses.mean_absolute_percentage_error,
    losses.mean_squared_error,
    losses.mean_squared_logarithmic_error,
    losses.poisson,
    losses.squared_hinge,
)

# Those that take one weight a cell, by the class whose `update_state` it is.
_WEIGH_CELLS = (
    metrics.BinaryIoU,
    metrics.R2Score,
    metrics.RootMeanSquaredError,
)
_COUNT_CELLS = (
    metrics.AUC,
    metrics.FalseNegatives,
    metrics.FalsePositives,
    metrics.Precision,
    metrics.PrecisionAtRecall,
    metrics.Recall,
    metrics.RecallAtPrecision,
    metrics.SensitivityAtSpecificity,
    metrics.SpecificityAtSensitivity,
    metrics.TrueNegatives,
    metrics.TruePositives,
)


def mean_axis(loss_or_metric: Any) -> int | None:
    """The axis that Keras' own losses and metrics of cells are a mean over.

    Returns:
        The axis, or `None` for what is no such mean as far as can be told.
    """
    function, arguments = _function_of(loss_or_metric)
    if not any(function is mean for mean in _MEANS_OF_CELLS):
        return None
    axis = arguments.get("axis", -1)
    return axis if isinstance(axis, int) else None


def reduced_axes(
    loss_or_metric: Any, label_rank: int, value_rank: int
) -> tuple[int, ...] | None:
    """The axes that a loss of Keras is told to reduce, counted from 0.

    Args:
        loss_or_metric: The loss, or the metric.
        label_rank: Rank of the labels.
        value_rank: Rank of the values that it gives for them.

    Returns:
        The axes, or `None` where no `axis` leads from the one to the other.
    """
    axes = _function_of(loss_or_metric)[1].get("axis")
    axes = (axes,) if isinstance(axes, int) else axes
    if not isinstance(axes, (list, tuple)):
        return None
    if len(axes) != label_rank - value_rank:
        return None
    return tuple(sorted(axis % label_rank for axis in axes))


def matched(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Labels and predictions of one rank, as Keras' losses make them."""
    return squeeze_or_expand_to_same_rank(y_true, y_pred)


def has_cells(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> bool:
    """Whether labels and predictions are matrices with several columns."""
    rank = len(y_pred.shape)
    return len(y_true.shape) == rank > 1 and y_pred.shape[axis] != 1


def one_column(tensor: Tensor, axis: int) -> Tensor:
    """With an axis of length 1 for a loss to take its mean over.

    What it gives then are the values of single cells.
    """
    return ops.expand_dims(tensor, axis=axis)


def weighs_cells(metric: Any) -> bool:
    """Whether a metric of Keras takes one weight a cell as it should."""
    if _updates_as(metric, _WEIGH_CELLS):
        return True
    if not _updates_as(metric, _COUNT_CELLS):
        return False
    return getattr(metric, "top_k", None) is None


def column_of(metric: Any) -> int | None:
    """The only column that a metric looks at; `None` for those of all."""
    if not weighs_cells(metric):
        return None
    return getattr(metric, "class_id", None)


def _function_of(loss_or_metric: Any) -> tuple[Any, dict[str, Any]]:
    """What Keras' wrappers wrap; `(None, {})` where a subclass does more."""
    kind, wraps = type(loss_or_metric), False
    if isinstance(loss_or_metric, LossFunctionWrapper):
        wraps = kind.call is LossFunctionWrapper.call
    elif isinstance(loss_or_metric, metrics.MeanMetricWrapper):
        wraps = kind.update_state is metrics.MeanMetricWrapper.update_state
    return wrapped_function(loss_or_metric) if wraps else (None, {})


def _updates_as(metric: Any, kinds: tuple) -> bool:
    return any(
        isinstance(metric, kind)
        and type(metric).update_state is kind.update_state
        for kind in kinds
    )
