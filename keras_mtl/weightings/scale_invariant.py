"""The sum of the logarithms of the losses."""

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.weightings.weighting import Weighting


@keras.saving.register_keras_serializable(package="keras_mtl")
class ScaleInvariant(Weighting):
    """Minimises the sum of the logarithms of the losses.

    The weights are 1 / l_t, so the scale of a loss changes nothing, nor does
    its entry in `loss_weights`. The baseline that the Nash-MTL paper calls SI.

    Losses should be positive. A task whose loss is zero (no labels in the
    batch, or nothing left to learn) or below takes no part in the step. The
    weight of a loss that goes to zero grows without bound; `GeometricMean` has
    the same ratios of weights without that.

    Args:
        name: Name of the method.

    Example:

    >>> keras_mtl.weightings.ScaleInvariant().weights([0.5, 4.])
    [2.   0.25]

    Reference:

    - [Multi-Task Learning as a Bargaining Game](
        https://arxiv.org/abs/2202.01017), Navon et al. 2022
    """

    def weights(self, losses: Tensor) -> Tensor:
        losses = ops.convert_to_tensor(losses)
        takes_part = losses > 0
        # Below the floor the inverse would leave the range of float32.
        floored = ops.maximum(ops.where(takes_part, losses, 1.0), 1e-30)
        return ops.where(takes_part, 1.0 / floored, 0.0)
