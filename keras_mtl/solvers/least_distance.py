"""The shortest vector whose inner products with others reach bounds."""

from keras import ops

from keras_mtl.solvers.active_set import combine
from keras_mtl.solvers.active_set import dot
from keras_mtl.solvers.least_squares import nonnegative_least_squares
from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor


def least_distance(vectors: Tensor, bounds: Tensor, rounding: Tensor) -> Tensor:
    """Minimises |x| subject to V' x >= b.

    With the bounds for a row below V, the part of the last unit vector that no
    nonnegative combination of the columns reaches points along (-x, 1). It
    vanishes where no x meets the bounds, and has a length of
    1 / sqrt(1 + |x|^2) otherwise. So narrow cones, whose x is long, are told
    from empty ones to the rounding of the vectors, not to its root as by inner
    products.

    Args:
        vectors: Float tensor `[..., R, T]`, V: columns of length one, or zero.
        bounds: Float tensor `[..., T]`, b, of one at most or near it.
        rounding: Float tensor `[..., 1]`, what the entries of V are known to.

    Returns:
        Multipliers m >= 0 with x = V m, float tensor `[..., T]`; zeros where no
        x meets the bounds.

    Reference:

    - Lawson and Hanson, Solving least squares problems, 1974, chapter 23
    """
    columns = ops.concatenate([vectors, bounds[..., None, :]], axis=-2)
    last = ops.one_hot(columns.shape[-2] - 1, columns.shape[-2])
    target = ops.zeros_like(columns[..., 0]) + ops.cast(last, vectors.dtype)
    parts = nonnegative_least_squares(columns, target)
    gap = target - combine(columns, parts)
    square = dot(gap, gap)
    noise = rounding * (1 + ops.sum(parts, axis=-1, keepdims=True))
    met = square > noise * noise
    return ops.where(met, parts / divisor(square), 0.0)
