"""COSMOS: a weighted sum that is drawn towards a direction."""

from typing import Any

import keras
from keras import ops

from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.weightings.scalarization import Scalarization
from keras_mtl.weightings.scalarization import of_present


@keras.saving.register_keras_serializable(package="keras_mtl")
class COSMOS(Scalarization):
    """Weighted sum of the losses with a reward for their direction.

    With the preference p (it sums to one) it minimises

        S(l) = p . l - penalty cos(p, l),

    the paper's objective for one preference. The paper draws a preference in
    each step and feeds it to the model as an input too, so that one model
    serves all; that is the model's part. The weights are

        dS/dl = p - penalty (p / |p| - cos(p, l) l / |l|) / |l|,

    and p where all losses are zero. Weights can be negative: a task that is
    ahead of the preferred direction is held back. As the losses shrink, the
    second term grows beyond the first. A task without labels in a batch takes
    no part: S is that of the others.

    Of a negative weight an aggregator sees the reversed gradient, and protects
    the ascent of that task: compose this with none.

    Args:
        penalty: The paper's lambda, from 0 up. It has 0.01 to 8, tuned for
            each data set, and no default; 2 is its value for Multi-MNIST.
        preference: Numbers from 0 up, not all zero: a dict by names of tasks,
            or a sequence in the order of `loss`. None means equal numbers.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"left": "mse", "right": "mse"},
        weighting=keras_mtl.weightings.COSMOS(1.0, preference=[0.7, 0.3]),
    )
    ```

    Reference:

    - [Scalable Pareto Front Approximation for Deep Multi-Objective Learning](
        https://arxiv.org/abs/2103.13392), Ruchte and Grabocka 2021
    """

    def __init__(
        self,
        penalty: float = 2.0,
        preference: Any = None,
        name: str | None = None,
    ):
        super().__init__(preference=preference, name=name)
        self.penalty = number_from_zero("penalty", penalty)

    def weights(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        losses = of_present(ops.convert_to_tensor(losses), present)
        preference = self.preference_of(losses, present)
        unit = preference / divisor(ops.norm(preference))
        # Squares of the largest and of the smallest losses stay in range.
        largest = ops.maximum(ops.max(ops.abs(losses)), 1e-30)
        scaled = losses / largest
        length = ops.norm(scaled)
        direction = scaled / ops.maximum(length, 1e-30)
        turn = unit - ops.sum(unit * direction) * direction
        turn = ops.where(length > 0, turn / (largest * length + 1e-37), 0.0)
        return preference - self.penalty * turn

    def get_config(self) -> dict[str, Any]:
        return {"penalty": self.penalty, **super().get_config()}
