"""UW-SO: a softmax of the inverse losses."""

from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.weightings.weighting import Weighting

# Below the first the inverse of a loss, above the second its quotient with a
# small temperature would leave the range of float32.
SMALLEST_LOSS = 1e-30
LARGEST_SCORE = 1e37


@keras.saving.register_keras_serializable(package="keras_mtl")
class UWSO(Weighting):
    """Soft optimal uncertainty weighting: a softmax of the inverse losses.

    The variance that minimises the loss of `Uncertainty` is proportional to
    the loss of the task, so the optimal weights are proportional to 1 / l_t.
    UW-SO takes these in place of training anything, and tempers them:

        w = softmax((1 / l) / temperature).

    The weights are constants to the gradient and sum to one, so the learning
    rate that the sum needs is about that of one task. A large temperature
    gives equal weights, a small one the task with the smallest loss alone.
    Losses of c times the size have the weights of a temperature of c times the
    size.

    Losses should be positive. A task whose loss is zero (no labels in the
    batch, or nothing left to learn) or below takes no part in the step; the
    weights of the others sum to one.

    Args:
        temperature: Number above 0, to be tuned: the paper searches it for
            each data set, and names no default.
        name: Name of the method.

    Example:

    >>> keras_mtl.weightings.UWSO(temperature=2.0).weights([0.5, 1.])
    [0.62245935 0.37754065]

    Reference:

    - [Analytical Uncertainty-Based Loss Weighting in Multi-Task Learning](
        https://arxiv.org/abs/2408.07985), Kirchdorfer et al. 2024
    """

    def __init__(self, temperature: float = 1.0, name: str | None = None):
        super().__init__(name=name)
        self.temperature = number_above_zero("temperature", temperature)

    def weights(self, losses: Tensor) -> Tensor:
        losses = ops.convert_to_tensor(losses)
        takes_part = losses > 0
        floored = ops.maximum(ops.where(takes_part, losses, 1.0), SMALLEST_LOSS)
        scores = ops.minimum(1.0 / floored / self.temperature, LARGEST_SCORE)
        scores = ops.where(takes_part, scores, -LARGEST_SCORE)
        return ops.where(takes_part, ops.softmax(scores), 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"temperature": self.temperature, **super().get_config()}
