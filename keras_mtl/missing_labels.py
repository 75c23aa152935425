"""Missing labels: which examples of a batch a task has a label for."""

import math
from typing import Any

import keras
from keras import ops

Tensor = Any


def validate_missing_label(missing_label: Any) -> None:
    """Checks that `missing_label` is `None`, a number, or a dict of these."""
    if isinstance(missing_label, dict):
        values = list(missing_label.values())
    else:
        values = [missing_label]
    for value in values:
        is_number = isinstance(value, (int, float))
        if value is not None and (not is_number or isinstance(value, bool)):
            raise ValueError(
                "`missing_label` should be `None`, `float('nan')`, a number "
                "that marks a missing label, or a dict from task names to "
                f"these. Received: missing_label={missing_label}"
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
        missing = ops.equal(y_true, ops.cast(missing_label, y_true.dtype))
    labels = ops.where(missing, ops.zeros_like(y_true), y_true)
    loss_rank = max(len(y_pred.shape) - 1, 1)
    while len(missing.shape) > loss_rank:
        missing = ops.any(missing, axis=-1)
    return labels, ops.logical_not(missing)


def masked_sample_weight(
    sample_weight: Tensor | None, mask: Tensor, dtype: str
) -> Tensor:
    """Multiplies sample weights, if any, by a mask of labelled examples."""
    mask = ops.cast(mask, dtype)
    if sample_weight is None:
        return mask
    sample_weight = ops.cast(sample_weight, dtype)
    if len(sample_weight.shape) == len(mask.shape) + 1:
        sample_weight = ops.squeeze(sample_weight, axis=-1)
    while len(sample_weight.shape) < len(mask.shape):
        sample_weight = ops.expand_dims(sample_weight, axis=-1)
    return ops.multiply(sample_weight, mask)
