"""The plain sum of the task gradients."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_above_zero


@keras.saving.register_keras_serializable(package="keras_mtl")
class Sum(Aggregator):
    """Adds the task gradients: what Keras does with several losses.

    Every weight is one, so the tasks' shares are the `loss_weights` alone. With
    `max_norm` they are equal, and less where the sum would be longer. The code
    of several papers clips so the gradient of what tasks share, and not that
    of heads: that of `FAMO`, for one, at 1. (The `global_clipnorm` of an
    optimizer looks at all variables together, at the price of one backward
    pass.)

    Args:
        granularity: `"model"` (default), `"layer"` or `"variable"`: what
            `max_norm` holds for. It changes nothing without.
        max_norm: Largest length of the update; above zero, or None (default)
            for no bound.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.Sum().weights([[18.0, -22.0], [-22.0, 38.0]])
    [1. 1.]
    """

    scale_free = True
    takes_zero_gradients = True

    def __init__(
        self,
        granularity: str = "model",
        max_norm: float | None = None,
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        if max_norm is not None:
            max_norm = number_above_zero("max_norm", max_norm)
        self.max_norm = max_norm

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`, all equal, between zero and one.
        """
        return self._weights(gram, None)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        return self._weights(gram, step.unit)

    def _weights(self, gram: Tensor, unit: Tensor | None) -> Tensor:
        gram = to_gram(gram)
        weights = ops.ones_like(diagonal(gram))
        if self.max_norm is None:
            return weights
        square = ops.sum(gram, axis=(-2, -1))
        norm = ops.sqrt(ops.maximum(square, 0.0))
        if unit is not None:
            norm = norm * ops.cast(unit, gram.dtype)
        return weights / ops.maximum(norm / self.max_norm, 1.0)[..., None]

    def get_config(self) -> dict[str, Any]:
        return {"max_norm": self.max_norm, **super().get_config()}
