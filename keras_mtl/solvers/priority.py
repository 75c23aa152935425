"""The direction nearest to a gradient in which other tasks gain a share."""

from keras import ops

from keras_mtl.solvers.active_set import combine
from keras_mtl.solvers.active_set import dot
from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.least_distance import least_distance
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.solvers.nonnegative import quadratic_on_matrix
from keras_mtl.solvers.pivoted_cholesky import pivoted_cholesky
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import cond


def priority_weights(gram: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """One for the main task, and what to add of the others, at least.

    Inner products tell how long the direction is to the root of their rounding
    only, and as little whether there is one. Where that is too little, vectors
    with these inner products are looked at, which know more where there are
    more tasks than coordinates.

    Args:
        gram: Float tensor `[..., T, T]`, the main task first.
        tau: The share.

    Returns:
        Weights `[..., T]`, of the main task alone where the conditions cannot
        be met, and the squared length of the direction, `[..., 1]`, zero where
        only rounding is left of it.
    """
    cosines, lengths = to_cosines(gram)
    weights, square, unsure = _by_products(cosines, lengths, tau)

    def retry():
        other, other_square = _by_vectors(cosines, lengths, tau)
        return (
            ops.where(unsure, other, weights),
            ops.where(unsure, other_square, square),
        )

    return cond(ops.any(unsure), retry, lambda: (weights, square))


def _by_products(
    cosines: Tensor, lengths: Tensor, tau: float
) -> tuple[Tensor, Tensor, Tensor]:
    """By inner products, which serves where gradients are well apart.

    The multipliers m >= 0 of the conditions minimise (1/2) m' K m - b' m over
    the auxiliary tasks, with b_t = tau |g_t|^2 - g_t . g_main. That is solved
    for unit gradients, whose multipliers are m times the norms.

    Returns:
        As `priority_weights`, and whether it is not to be relied on.
    """
    bounds, largest = _bounds(cosines, cosines[..., 0, 1:], lengths, tau)
    found, unsure = quadratic_on_matrix(cosines[..., 1:, 1:], bounds)
    parts = ops.concatenate([lengths[..., :1], largest * found], axis=-1)
    square = dot(parts, times(cosines, parts))
    total = ops.sum(parts, axis=-1, keepdims=True)
    # Rounding is a thousandth of the square at most, otherwise.
    short = square <= 1000 * epsilon_of(cosines) * total**2
    return parts / lengths, square, ops.logical_or(unsure, short)


def _by_vectors(
    cosines: Tensor, lengths: Tensor, tau: float
) -> tuple[Tensor, Tensor]:
    """By vectors that have these inner products."""
    noise = 4 * epsilon_of(cosines) * cosines.shape[-1] ** 0.5
    vectors = pivoted_cholesky(cosines, noise)
    # What rounds the inner products moves a vector by this over the pivot.
    pivots = ops.max(ops.abs(vectors), axis=-1)
    pivots = ops.where(pivots == 0, 1.0, pivots)
    rounding = noise / ops.min(pivots, axis=-1, keepdims=True)
    main, others = vectors[..., 0], vectors[..., 1:]
    bounds, largest = _bounds(cosines, times(others, main), lengths, tau)
    found = least_distance(others, bounds, rounding)
    parts = ops.concatenate([lengths[..., :1], largest * found], axis=-1)
    direction = combine(vectors, parts)
    square = dot(direction, direction)
    total = ops.sum(parts, axis=-1, keepdims=True)
    vanishes = square <= (rounding * total) ** 2
    return parts / lengths, ops.where(vanishes, 0.0, square)


def _bounds(
    cosines: Tensor, to_main: Tensor, lengths: Tensor, tau: float
) -> tuple[Tensor, Tensor]:
    """What unit gradients lack, in parts of the largest lack.

    Args:
        cosines: Float tensor `[..., T, T]`, whose diagonal tells which
            gradients are zero: these lack nothing.
        to_main: Their cosines with the main gradient, `[..., T - 1]`.
        lengths: Float tensor `[..., T]`.
        tau: The share.

    Returns:
        Float tensors `[..., T - 1]`, one at most, and `[..., 1]`.
    """
    wanted = tau * diagonal(cosines)[..., 1:] * lengths[..., 1:]
    lack = wanted - to_main * lengths[..., :1]
    largest = divisor(ops.max(ops.abs(lack), axis=-1, keepdims=True))
    return lack / largest, largest
