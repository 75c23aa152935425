"""UPGrad: project each task gradient out of all conflict, and add up."""

import keras

from keras_mtl.aggregators.preference_aggregator import PreferenceAggregator
from keras_mtl.solvers.dual_cone import dual_cone_sum_weights
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class UPGrad(PreferenceAggregator):
    """Sums the projections of the task gradients onto their dual cone.

    The dual cone holds the directions in which no loss rises, d with
    g_t . d >= 0 for all t. Each u_i g_i is replaced by the nearest such
    direction, which needs the weights argmin v' K v over v >= u_i e_i, and the
    update is the sum of these. So it conflicts with no task, and unlike in
    MGDA a task counts in proportion to the length of its gradient.

    By default u_i = 1 / T, as published: without conflict the update is the
    mean of the gradients. Weights are at least u and do not sum to one. With
    two tasks and u = 1 this is PCGrad.

    The projections are found exactly, by an active-set method on unit
    gradients; TorchJD adds 1e-4 of the trace to K. A zero gradient changes
    nothing for the others. Of duplicate gradients the update is unique, the
    weights are not; opposed gradients lose their common line.

    Gradients may depend on each other, as where there are more tasks than
    coordinates. In float32 no update points back along a gradient by more than
    2e-4 of the longest gradient's length, or 1e-3 where two are opposed, or one
    depends on others, to within some 1e-3 of their lengths: there the inner
    products hold no more.

    Args:
        preference: The u: numbers from 0 up, not all zero, as a dict by names
            of tasks or a sequence in the order of `loss`. None means 1 / T.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.UPGrad().weights([[18., -22.], [-22., 38.]])
    [1.1111112 0.7894737]

    Reference:

    - [Jacobian Descent for Multi-Objective Optimization](
        https://arxiv.org/abs/2406.16232), Quinton and Rey 2024
    """

    scale_free = True
    takes_zero_gradients = True

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`, nowhere below the preference.
        """
        gram = normalize(to_gram(gram))
        preference = self.preference_of(gram, default=1 / gram.shape[-1])
        return dual_cone_sum_weights(gram, preference)
