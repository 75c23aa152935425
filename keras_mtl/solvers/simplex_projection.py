"""The nearest point of the simplex."""

from keras import ops

from keras_mtl.types import Tensor


def simplex_projection(
    values: Tensor, total: Tensor | float = 1.0, taking_part: Tensor = None
) -> Tensor:
    """The w >= 0 with sum w = `total` that is nearest to the values.

    It is max(v - c, 0) for one c. For every set S of entries the sum over S
    of v - c is at most `total`, and equal to it for the entries above zero, so
    c is the largest of (sum over S of v - total) / |S|. The sets to look at are
    those of the entries not below v_i, one for each i: neither a sort nor a
    loop.

    Args:
        values: Float tensor `[..., T]`. Where one is not finite, all of the
            result is NaN.
        total: What the result sums to: a number or a tensor `[..., 1]`.
        taking_part: Booleans `[T]`. Entries that are false are zero in the
            result. By default all take part.

    Returns:
        Float tensor `[..., T]`.

    Reference:

    - Held, Wolfe and Crowder, Validation of subgradient optimization, 1974
    """
    finite = ops.isfinite(ops.sum(values, axis=-1, keepdims=True))
    if taking_part is None:
        taking_part = ops.ones(values.shape[-1:], dtype="bool")
    lowest = ops.min(values, axis=-1, keepdims=True)
    values = ops.where(taking_part, values, lowest)
    # Near zero, where it counts, numbers are finest.
    values = values - ops.max(values, axis=-1, keepdims=True)
    above = values[..., None, :] >= values[..., :, None]
    above = ops.cast(ops.logical_and(above, taking_part), values.dtype)
    sums = ops.sum(above * values[..., None, :], axis=-1)
    counts = ops.maximum(ops.sum(above, axis=-1), 1.0)
    cuts = ops.where(taking_part, (sums - total) / counts, -float("inf"))
    cut = ops.max(cuts, axis=-1, keepdims=True)
    nearest = ops.where(taking_part, ops.maximum(values - cut, 0.0), 0.0)
    return ops.where(finite, nearest, float("nan"))
