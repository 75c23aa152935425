"""Missing labels: which examples of a batch a task has a label for."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.types import Tensor


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


def split_labels(y_true: Tensor, missing_label: float) -> tuple[Tensor, Tensor]:
    """Separates the labels of a batch from the fact that some are missing.

    Args:
        y_true: Labels, in which some entries equal `missing_label`.
        missing_label: `nan`, or a number.

    Returns:
        The labels with 0 in place of what is missing, so that no loss turns
        into NaN, and a boolean tensor of their shape that is true for an entry
        that is missing.
    """
    y_true = ops.convert_to_tensor(y_true)
    if math.isnan(missing_label):
        is_float = "float" in keras.backend.standardize_dtype(y_true.dtype)
        # Integers cannot hold NaN: nothing can be missing.
        missing = ops.isnan(y_true) if is_float else ops.zeros_like(y_true) > 0
    else:
        _check_representable(missing_label, y_true.dtype)
        missing = ops.equal(y_true, ops.cast(missing_label, y_true.dtype))
    return ops.where(missing, ops.zeros_like(y_true), y_true), missing


def whole_axes(
    label_shape: Sequence[int | None],
    value_shape: Sequence[int | None],
    reduced: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """The axes over which entries of a label make up one value.

    Args:
        label_shape: Shape of the labels.
        value_shape: Shape of what a loss or a metric gives for them.
        reduced: Axes that the values have no more; by default as many of the
            last as the labels have more axes than the values.
    """
    rank = len(label_shape)
    if reduced is None:
        reduced = range(min(len(value_shape), rank), rank)
    kept = [axis for axis in range(rank) if axis not in reduced]
    # Values may have an axis that the labels do not, as that of the classes.
    both = list(zip(kept, value_shape, strict=False))
    # Reduced as well, to an axis of length 1.
    squashed = [
        axis for axis, size in both[1:] if size == 1 and label_shape[axis] != 1
    ]
    return tuple(sorted((*reduced, *squashed)))


def known_values(
    missing: Tensor,
    value_shape: Sequence[int | None],
    axes: Sequence[int] = (),
) -> Tensor:
    """For each value that a loss or a metric gives, whether it is of a label.

    A value that is made of several entries of a label is known if all of them
    are, and left out if all are missing. One of a label that is known in part
    cannot be had: it is NaN, so that it does not pass in silence.

    Args:
        missing: Boolean tensor of the shape of the labels.
        value_shape: Shape of the values.
        axes: Those of `whole_axes`.

    Returns:
        Float tensor of the rank of the values that broadcasts against them: 1
        where there is a label, 0 where there is none, NaN in between.
    """
    every = some = missing
    if len(axes):
        every = ops.all(missing, axis=tuple(axes), keepdims=True)
        some = ops.any(missing, axis=tuple(axes), keepdims=True)
    one = ops.ones((), "float32")
    known = ops.where(every, 0.0 * one, ops.where(some, math.nan * one, one))
    for axis in sorted(axes, reverse=True):
        if len(known.shape) > len(value_shape):
            known = ops.squeeze(known, axis=axis)
    while len(known.shape) < len(value_shape):
        known = ops.expand_dims(known, axis=-1)
    return known


def leave_out_masked(known: Tensor, mask: Tensor | None, user: str) -> Tensor:
    """What is known and not masked by Keras.

    Args:
        known: Float tensor of what is known.
        mask: Boolean tensor of no more axes, or `None`.
        user: The loss or metric that has the values, for the message.
    """
    if mask is None:
        return known
    if len(mask.shape) == len(known.shape) + 1 and mask.shape[-1] == 1:
        mask = ops.squeeze(mask, axis=-1)
    if len(mask.shape) > len(known.shape):
        raise ValueError(
            f"The mask of a prediction, of shape {tuple(mask.shape)}, has more "
            f"axes than what the {user} returns, {len(known.shape)}. Return "
            "one value for each entry of the mask, or do not pass the mask on."
        )
    while len(mask.shape) < len(known.shape):
        mask = ops.expand_dims(mask, axis=-1)
    # Not a product: what is known in part may well be masked.
    return ops.where(ops.cast(mask, "bool"), known, ops.zeros_like(known))


def known_in_part(
    labels: np.ndarray, missing_label: float, axes: Sequence[int]
) -> int:
    """How many labels are missing in part.

    Args:
        labels: Array of labels.
        missing_label: The value that marks a missing entry.
        axes: The axes over which entries make up one label.
    """
    if math.isnan(missing_label):
        missing = labels != labels
    else:
        missing = labels == missing_label
    axes = tuple(axes)
    in_part = missing.any(axis=axes) & ~missing.all(axis=axes)
    return int(np.sum(in_part))


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
