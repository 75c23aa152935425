"""Nash-MTL: the update on which the tasks would agree in a bargain."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.bargaining import bargaining_weights
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_above_zero


@keras.saving.register_keras_serializable(package="keras_mtl")
class NashMTL(Aggregator):
    """The Nash bargaining solution: relative gains of the tasks are equal.

    The update d of a given length maximises sum_t log g_t . d. Its weights
    alpha > 0 solve K alpha = 1 / alpha, K the Gram matrix: what a task gains,
    times its weight, is one. Every loss falls, and the direction does not
    depend on the lengths of the task gradients. They are found by a damped
    Newton method on the device, to rounding.

    The solution has length sqrt(T) whatever the gradients, and `max_norm` cuts
    d to a length. So the step does not shrink with the gradients: reduce the
    learning rate as training goes. (The authors' code solves for K / |K|
    instead, so that tiny gradients pass without being cut.)

    A task with a zero gradient has no part in the bargain: its weight is zero.
    Exactly opposed gradients, and all that have zero in their convex hull (the
    model is Pareto-stationary), have no solution. Their weights are large but
    finite and their update vanishes, to rounding; in float32 this begins where
    unit gradients combine to less than about 1e-3.

    Args:
        max_norm: Largest length of the update; above zero, or None for no
            limit.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`; `max_norm` then holds for each layer or variable.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.NashMTL().weights([[18., -22.], [-22., 38.]])
    [0.4182 0.2878]

    Reference:

    - [Multi-Task Learning as a Bargaining Game](
        https://arxiv.org/abs/2202.01017), Navon et al. 2022
    """

    scale_free = True
    takes_zero_gradients = True

    def __init__(
        self,
        max_norm: float | None = 1.0,
        granularity: str = "model",
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
            Float tensor `[..., T]`, positive but for zero gradients.
        """
        return self._weights(gram, None)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        return self._weights(gram, step.unit)

    def _weights(self, gram: Tensor, unit: Tensor | None) -> Tensor:
        gram = to_gram(gram)
        weights = bargaining_weights(gram, unit=unit)
        if self.max_norm is None:
            return weights
        # Lengths of weighted gradients are near one: their squares stay in
        # the range of float32, where those of weights and gradients may not.
        cosines, lengths = to_cosines(gram)
        shares = weights * lengths
        if unit is not None:
            shares = shares * ops.cast(unit, gram.dtype)[..., None]
        square = shares[..., :, None] * cosines * shares[..., None, :]
        norm = ops.sqrt(ops.maximum(ops.sum(square, axis=(-2, -1)), 0.0))
        excess = ops.maximum(norm / self.max_norm, 1.0)
        return weights / excess[..., None]

    def get_config(self) -> dict[str, Any]:
        return {"max_norm": self.max_norm, **super().get_config()}
