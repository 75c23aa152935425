"""Missing labels: which examples of a batch a task has a label for."""

import math
import numbers
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any


def validate_missing_label(missing_label: Any) -> None:
    """Checks that `missing_label` is `None`, a number, or a dict of these."""
    if isinstance(missing_label, dict):
        values = list(missing_label.values())
    else:
        values = [missing_label]
    for value in values:
        is_number = isinstance(value, numbers.Real)
        if value is not None and (not is_number or isinstance(value, bool)):
            raise ValueError(
                "`missing_label` should be `None`, `float('nan')`, a number "
                "that marks a missing label, or a dict from task names to "
                f"these. Received: missing_label={missing_label!r}"
            )


def missing_label_of(missing_label: Any, output_name: str) -> float | None:
    """The value that marks a missing label of one output."""
    if isinstance(missing_label, dict):
        return missing_label.get(output_name)
    return missing_label


def split_labels(
    y_true: Tensor, y_pred: Tensor, missing_label: float
) -> tuple[Tensor, Tensor]:
    """Separates the labels of a batch from the fact that some are missing.

    An example (or time step, or pixel: whatever the loss gives one value for)
    counts as unlabelled when any entry of its label is missing.

    Args:
        y_true: Labels, in which some entries equal `missing_label`.
        y_pred: Predictions. Their rank less one is the rank of the loss.
        missing_label: `nan`, or a number.

    Returns:
        The labels with 0 in place of what is missing, so that no loss turns
        into NaN, and a boolean mask of the shape of the loss values that is
        true where there is a label.
    """
    y_true = ops.convert_to_tensor(y_true)
    if math.isnan(missing_label):
        is_float = "float" in keras.backend.standardize_dtype(y_true.dtype)
        # Integers cannot hold NaN: nothing can be missing.
        missing = ops.isnan(y_true) if is_float else ops.zeros_like(y_true) > 0
    else:
        _check_representable(missing_label, y_true.dtype)
        missing = ops.equal(y_true, ops.cast(missing_label, y_true.dtype))
    labels = ops.where(missing, ops.zeros_like(y_true), y_true)
    loss_rank = max(len(y_pred.shape) - 1, 1)
    while len(missing.shape) > loss_rank:
        missing = ops.any(missing, axis=-1)
    return labels, ops.logical_not(missing)


def as_column(tensor: Tensor, y_pred: Tensor) -> Tensor:
    """`(batch_size,)` to `(batch_size, 1)` where the prediction has one axis.

    Keras' losses reduce the last axis. Of predictions with no other they make
    one number, in which no example can be left out.
    """
    if len(y_pred.shape) == 1 and len(tensor.shape) == 1:
        return ops.expand_dims(tensor, axis=-1)
    return tensor


def multiply_weights(sample_weight: Tensor | None, factor: Tensor) -> Tensor:
    """Multiplies sample weights, if any, by one factor a loss value.

    Args:
        sample_weight: `None`, or weights of shape `(batch_size,)`,
            `(batch_size, 1)` or that of the factor.
        factor: float tensor of the shape of the loss values.
    """
    if sample_weight is None:
        return factor
    sample_weight = ops.cast(sample_weight, factor.dtype)
    if len(sample_weight.shape) == len(factor.shape) + 1:
        sample_weight = ops.squeeze(sample_weight, axis=-1)
    while len(sample_weight.shape) < len(factor.shape):
        sample_weight = ops.expand_dims(sample_weight, axis=-1)
    return ops.multiply(sample_weight, factor)


def _check_representable(missing_label: float, dtype: Any) -> None:
    dtype = keras.backend.standardize_dtype(dtype)
    if "int" not in dtype:
        return
    limits = np.iinfo(dtype)
    is_integer = float(missing_label).is_integer()
    if not is_integer or not limits.min <= missing_label <= limits.max:
        raise ValueError(
            f"`missing_label` is {missing_label}, which labels of type {dtype} "
            "cannot hold: converted, it would stand for another class. Give "
            "labels of another type, or `missing_label` as a dict from the "
            "outputs that have missing labels to their values."
        )
