"""Projection onto the dual cone of the task gradients."""

from keras import ops

from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.nonnegative import nonnegative_quadratic
from keras_mtl.types import Tensor


def dual_cone_weights(gram: Tensor, bounds: Tensor) -> Tensor:
    """Minimises v' K v over v >= u, exactly.

    The projection of sum_t u_t g_t onto the dual cone {d: g_t . d >= 0 for
    all t} is sum_t v_t g_t: with v = u + x, the multipliers x >= 0 minimise
    (1/2) x' K x + u' K x. That problem is solved for unit gradients, whose
    multipliers are x times the norms, so that norms far apart cost no
    accuracy.

    A zero gradient keeps its bound as its weight. Where gradients depend on
    each other many weights may give the projection, which is unique. A gradient
    takes part only where it is farther from the span of those that do than the
    root of the rounding, 7e-4 of its length in float32: so weights stay below
    some 1e3, and what conflict is left is below that share of the projected
    vector.

    Args:
        gram: Float tensor `[..., T, T]`, near one (see `normalize`).
        bounds: Float tensor `[T]` or `[..., T]`, the u, nonnegative.

    Returns:
        Float tensor `[..., T]`, nowhere below the bounds.

    Reference:

    - [Gradient Episodic Memory for Continual Learning](
        https://arxiv.org/abs/1706.08840), Lopez-Paz and Ranzato 2017,
        equation 11
    """
    cosines, lengths = to_cosines(gram)
    scaled = bounds * lengths
    largest = divisor(ops.max(scaled, axis=-1, keepdims=True))
    extra = _multipliers(cosines, scaled / largest)
    return bounds + largest * extra / lengths


def dual_cone_sum_weights(gram: Tensor, preference: Tensor) -> Tensor:
    """Sum over the tasks of the projections of u_t g_t onto the dual cone.

    These are the projections of the unit gradients times u_t |g_t|: one batch
    of T problems in which the norms do not occur.

    Args:
        gram: Float tensor `[..., T, T]`, near one (see `normalize`).
        preference: Float tensor `[T]` or `[..., T]`, the u, nonnegative.

    Returns:
        Float tensor `[..., T]`, nowhere below the preference.
    """
    cosines, lengths = to_cosines(gram)
    size = gram.shape[-1]
    units = ops.zeros_like(gram) + ops.eye(size, dtype=gram.dtype)
    extra = _multipliers(cosines[..., None, :, :], units)
    scaled = (preference * lengths)[..., :, None]
    return preference + ops.sum(scaled * extra, axis=-2) / lengths


def _multipliers(cosines: Tensor, bounds: Tensor) -> Tensor:
    """The x >= 0 of the projection of a combination of unit gradients."""
    pull = -times(cosines, bounds)
    return nonnegative_quadratic(cosines, pull)
