"""DualProj: project the mean gradient out of all conflict."""

import keras

from keras_mtl.aggregators.preference_aggregator import PreferenceAggregator
from keras_mtl.solvers.dual_cone import dual_cone_weights
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class DualProj(PreferenceAggregator):
    """Projects the mean of the task gradients onto their dual cone.

    The dual cone holds the directions in which no loss rises, d with
    g_t . d >= 0 for all t. The update is the one nearest to sum_t u_t g_t; its
    weights are argmin v' K v over v >= u. It conflicts with no task, and where
    the mean does not either it is the mean. GEM projects the gradient of a new
    task so, to forget no old one.

    By default u_i = 1 / T. Weights are at least u and do not sum to one. A
    long gradient rules the mean and so the update; `UPGrad` projects each
    gradient on its own.

    The projection is found exactly, by an active-set method on unit gradients;
    TorchJD adds 1e-4 of the trace to K. A zero gradient changes nothing for
    the others. Of duplicate gradients the update is unique, the weights are
    not; opposed gradients lose their common line.

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

    >>> keras_mtl.aggregators.DualProj().weights([[18., -22.], [-22., 38.]])
    [0.6111111 0.5]

    References:

    - [Gradient Episodic Memory for Continual Learning](
        https://arxiv.org/abs/1706.08840), Lopez-Paz and Ranzato 2017
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
        return dual_cone_weights(gram, preference)
