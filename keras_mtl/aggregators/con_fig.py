"""ConFIG: the direction with equal cosines to all task gradients."""

import keras
from keras import ops

from keras_mtl.aggregators.preference_aggregator import PreferenceAggregator
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.pseudo_inverse import pseudo_solve
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class ConFIG(PreferenceAggregator):
    """Conflict-free inverse gradients.

    With the unit gradients as rows of U, the direction is u = U^+ p made a
    unit vector: its cosines with the task gradients are in the ratios of the
    preference p, by default equal. Its length is the sum of the projections of
    the gradients onto it, so that the update is d = (sum_t g_t . u) u: long
    where the gradients agree. No loss rises if the gradients are independent.

    All of it follows from the inner products: with lengths D and cosines C
    the weights are proportional to D^-1 C^+ p, like those of `IMTLG`. They may
    be negative and do not sum to one.

    Where gradients depend on each other U^+ is the pseudo-inverse: duplicates
    share a weight, and where no direction has the cosines asked for the
    nearest is taken, in which losses may rise. A gradient within 0.3 per cent
    (float32) of the span of the others counts as dependent. A zero gradient
    gets weight zero, and opposed gradients alone give no update. The update
    jumps where a gradient becomes dependent: this is the method's.

    Args:
        preference: The p: numbers from 0 up, not all zero, as a dict by names
            of tasks or a sequence in the order of `loss`. None means ones.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.ConFIG().weights([[18., -22.], [-22., 38.]])
    [1.2265 0.8441]

    Reference:

    - [ConFIG: Towards Conflict-free Training of Physics Informed Neural
        Networks](https://arxiv.org/abs/2408.11104), Liu et al. 2024
    """

    scale_free = True
    takes_zero_gradients = True

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`.
        """
        gram = normalize(to_gram(gram))
        preference = self.preference_of(gram, default=1.0)
        cosines, lengths = to_cosines(gram)
        solution, along = pseudo_solve(cosines, preference)
        # `along` are the projections of U' x, x being the solution.
        square = ops.sum(along * solution, axis=-1, keepdims=True)
        total = ops.sum(along * lengths, axis=-1, keepdims=True)
        return solution / lengths * (total / divisor(square))
