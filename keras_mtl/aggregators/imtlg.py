"""IMTL-G: an update with equal projections onto all task gradients."""

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.pseudo_inverse import pseudo_solve
from keras_mtl.solvers.symmetric_eigen import tolerance_of
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class IMTLG(Aggregator):
    """Impartial multi-task learning, the gradient balance.

    The update has the same projection onto every task gradient, g_t . d / |g_t|
    equal for all t, and weights that sum to one. With lengths D and cosines C,
    K = D C D, the weights are D^-1 C^-1 1 divided by their sum. They may be
    negative, and large where the sum is close to zero; where it is negative
    the update raises every loss alike. The paper leaves it so.

    The paper supposes independent gradients. Otherwise the pseudo-inverse of C
    takes the place of the inverse: of duplicates the update is that without
    them, and where no direction has equal projections the nearest is taken.
    (TorchJD takes the pseudo-inverse of K; its update then has the same
    direction and another length.) A gradient within 0.3 per cent (float32) of
    the span of the others counts as dependent. A zero gradient gets weight
    zero. Where the sum vanishes, as for opposed gradients, all weights are
    zero.

    Args:
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.IMTLG().weights([[18., -22.], [-22., 38.]])
    [0.5923 0.4077]

    Reference:

    - [Towards Impartial Multi-task Learning](
        https://openreview.net/forum?id=IMPnRXEWpvr), Liu et al. 2021
    """

    scale_free = True
    takes_zero_gradients = True

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`, summing to one, or zeros.
        """
        cosines, lengths = to_cosines(normalize(to_gram(gram)))
        solution, _ = pseudo_solve(cosines, ops.ones_like(lengths))
        # From the shortest gradient on, so that nothing leaves the range.
        shortest = ops.min(lengths, axis=-1, keepdims=True)
        weights = solution * (shortest / lengths)
        total = ops.sum(weights, axis=-1, keepdims=True)
        size = ops.sum(ops.abs(weights), axis=-1, keepdims=True)
        vanishes = ops.abs(total) <= tolerance_of(total) * size
        total = ops.where(vanishes, ops.ones_like(total), total)
        return ops.where(vanishes, ops.zeros_like(weights), weights / total)
