"""FairGrad: an alpha-fair division of what the update gains."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.bargaining import bargaining_weights
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero


@keras.saving.register_keras_serializable(package="keras_mtl")
class FairGrad(Aggregator):
    """Divides the gain of an update among the tasks, more or less fairly.

    The gain of task t is g_t . d, its utility (g_t . d)^(1 - alpha) /
    (1 - alpha), and the update d of a given length maximises their sum. Its
    weights w > 0 solve K w = w^(-1 / alpha), K the Gram matrix, so that no
    loss rises. They are found by a damped Newton method on the device, to
    rounding.

    alpha = 1 is proportional fairness, which is `NashMTL(max_norm=None)`;
    alpha = 2 is the least potential delay; a large alpha looks after the task
    that gains least, as MGDA. alpha = 0 is the plain sum, where every weight is
    one: the limit for gradients without conflict. (TorchJD divides it by T.)

    Weights depend on scale: gradients times s have weights times
    s^(-2 alpha / (1 + alpha)), and so an update times
    s^((1 - alpha) / (1 + alpha)).

    A task with a zero gradient takes no part: its weight is zero. Exactly
    opposed gradients, and all that have zero in their convex hull (the model is
    Pareto-stationary), have no solution. Their weights are large but finite
    (1e3 for unit gradients in float32 with alpha = 1, 1e6 with a large one),
    and their update is rounding, times these. This begins where unit gradients
    combine to less than about 1e-3.

    Args:
        alpha: Degree of fairness, not negative. Tested from 0.05 to 20; weights
            that differ by more than 1e30 are cut there.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.FairGrad().weights([[18., -22.], [-22., 38.]])
    [0.5915 0.4071]

    Reference:

    - [Fair Resource Allocation in Multi-Task Learning](
        https://arxiv.org/abs/2402.15638), Ban and Ji 2024
    """

    scale_free = True
    takes_zero_gradients = True

    def __init__(
        self,
        alpha: float = 1.0,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.alpha = number_from_zero("alpha", alpha)

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
        if self.alpha == 0:
            return ops.ones_like(diagonal(gram))
        return bargaining_weights(gram, self.alpha, unit)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, **super().get_config()}
