"""The geometric mean of the losses."""

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.weightings.weighting import Weighting


@keras.saving.register_keras_serializable(package="keras_mtl")
class GeometricMean(Weighting):
    """Minimises the geometric mean of the losses (GLS).

    With S = (l_1 l_2 ... l_T)^(1 / T), the weights are dS/dl_t = S / (T l_t).
    They are those of `ScaleInvariant` times S / T, so the ratio of any two
    does not depend on the scales of the losses, and the step does not vanish
    or explode with them as a whole.

    It goes through the mean of the logarithms: no product of many losses that
    underflows. Losses should be positive. A task whose loss is zero (no labels
    in the batch, or nothing left to learn) or below takes no part in the step,
    and T is the number of those that do.

    Args:
        name: Name of the method.

    Example:

    >>> keras_mtl.weightings.GeometricMean().weights([1., 4.])
    [1.   0.25]

    Reference:

    - [MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy
        for Multi-Task Learning](https://arxiv.org/abs/1904.08492), Chennupati
        et al. 2019
    """

    def weights(self, losses: Tensor) -> Tensor:
        losses = ops.convert_to_tensor(losses)
        takes_part = losses > 0
        logs = ops.log(ops.where(takes_part, losses, 1.0))
        count = ops.sum(ops.cast(takes_part, losses.dtype))
        count = ops.maximum(count, 1.0)
        # Largest power that float32 holds with room for what multiplies it.
        powers = ops.minimum(ops.sum(logs) / count - logs, 80.0)
        return ops.where(takes_part, ops.exp(powers) / count, 0.0)
