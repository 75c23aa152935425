"""Labels and predictions as losses and metrics get them where some can miss."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_mtl.labels.cellwise import has_cells
from keras_mtl.labels.cellwise import matched
from keras_mtl.labels.cellwise import mean_axis
from keras_mtl.labels.missing_labels import as_column
from keras_mtl.labels.missing_labels import split_labels
from keras_mtl.types import Tensor


class LabelledBatch(NamedTuple):
    """The labels of one output, and what is missing of them.

    Attributes:
        labels: With 0 in place of what is missing.
        predictions: Of a rank that goes with them.
        missing: Boolean tensor of the shape of the labels.
        cell_axis: The axis over which the loss or metric takes a mean of
            values that each cell has by itself; `None` if it takes none.
    """

    labels: Tensor
    predictions: Tensor
    missing: Tensor
    cell_axis: int | None


def labelled_batch(
    loss_or_metric: Any,
    y_true: Tensor,
    y_pred: Tensor,
    missing_label: float,
    dtype: str | None = None,
) -> LabelledBatch:
    """Separates what is missing, and makes shapes fit as Keras does.

    Args:
        loss_or_metric: What is to judge the predictions.
        y_true: Labels, in which some entries equal `missing_label`.
        y_pred: Predictions.
        missing_label: `nan`, or a number.
        dtype: Of labels and predictions in the end, by default what they have.
    """
    y_true = as_column(ops.convert_to_tensor(y_true), y_pred)
    y_pred = as_column(y_pred, y_pred)
    labels, missing = split_labels(y_true, missing_label)
    if dtype is not None:
        labels = ops.convert_to_tensor(labels, dtype=dtype)
        y_pred = ops.convert_to_tensor(y_pred, dtype=dtype)
    axis = mean_axis(loss_or_metric)
    if axis is not None:
        missing, _ = matched(missing, y_pred)
        labels, y_pred = matched(labels, y_pred)
        axis = axis if has_cells(labels, y_pred, axis) else None
    return LabelledBatch(labels, y_pred, missing, axis)
