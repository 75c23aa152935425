"""Means that leave out what a mask hides."""

from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor


def masked_mean(x: Tensor, mask: Tensor | None, otherwise: Any = 0.0) -> Tensor:
    """Means `[features]` over examples and positions, at least in float32.

    Args:
        x: Tensor `[batch, ..., features]`.
        mask: Tensor `[batch, ...]`, true where `x` counts, of as many axes or
            fewer; or `None`.
        otherwise: What to return where the mask hides all.
    """
    x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    axes = tuple(range(len(x.shape) - 1))
    if mask is None:
        return ops.mean(x, axis=axes)
    kept = ops.expand_dims(ops.cast(mask_of_rank(mask, x), x.dtype), -1)
    count = ops.sum(kept)
    mean = ops.sum(x * kept, axis=axes) / ops.maximum(count, 1.0)
    return ops.where(count > 0.0, mean, otherwise)


def mask_of_rank(mask: Tensor, x: Tensor) -> Tensor:
    """The mask over all axes of `x [batch, ..., features]` but the last.

    A mask of steps says nothing of further axes, such as those of frames.
    """
    missing = len(x.shape) - 1 - len(mask.shape)
    if missing == 0:
        return mask
    mask = ops.reshape(mask, (*ops.shape(mask), *[1] * missing))
    return ops.broadcast_to(mask, ops.shape(x)[:-1])
