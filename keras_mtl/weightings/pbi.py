"""PBI: along a preferred direction, with a penalty on leaving it."""

from typing import Any

import keras
from keras import ops

from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.weightings.scalarization import ReferenceScalarization


@keras.saving.register_keras_serializable(package="keras_mtl")
class PBI(ReferenceScalarization):
    """Penalty-based boundary intersection, the scalarization of MOEA/D.

    With the reference z, the preference as a unit vector u, and the distance
    f = l - z, it minimises

        S(l) = d1 + theta d2,    d1 = u . f,    d2 = |f - d1 u|,

    the way along the preferred direction and the distance from it. (The paper
    has |u . f|: the same where z is a lower bound, as it should be.) The
    weights are dS/dl = u + theta (f - d1 u) / d2, and u where the losses lie on
    the direction and d2 has no derivative.

    The ratio of the losses tends to that of the preference. Weights can be
    negative: a task that is ahead is held back until the others follow. A task
    without labels in a batch takes no part: S is that of the others.

    Of a negative weight an aggregator sees the reversed gradient, and protects
    the ascent of that task: compose this with none.

    Args:
        theta: Penalty from 0 up. The paper's experiments have 5; it says that
            too large and too small ones do harm.
        preference: Numbers from 0 up, not all zero: a dict by names of tasks,
            or a sequence in the order of `loss`. None means equal numbers.
        reference: The ideal point z, a lower bound for each loss, likewise.
            None means zeros.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"left": "mse", "right": "mse"},
        weighting=keras_mtl.weightings.PBI(preference=[2.0, 1.0]),
    )
    ```

    Reference:

    - [MOEA/D: A Multiobjective Evolutionary Algorithm Based on Decomposition](
        https://doi.org/10.1109/TEVC.2007.892759), Zhang and Li 2007
    """

    def __init__(
        self,
        theta: float = 5.0,
        preference: Any = None,
        reference: Any = None,
        name: str | None = None,
    ):
        super().__init__(preference=preference, reference=reference, name=name)
        self.theta = number_from_zero("theta", theta)

    def weights(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        losses = ops.convert_to_tensor(losses)
        preference = self.preference_of(losses, present)
        unit = preference / divisor(ops.norm(preference))
        distances = self.distances(losses, present)
        # Squares of the largest and of the smallest losses stay in range.
        largest = ops.maximum(ops.max(ops.abs(distances)), 1e-30)
        distances = distances / largest
        away = distances - ops.sum(unit * distances) * unit
        length = ops.norm(away)
        # What is left of a point on the direction is rounding, and has none.
        rounding = 1e-6 * ops.norm(distances)
        slope = ops.where(length > rounding, away / (length + 1e-30), 0.0)
        return unit + self.theta * slope

    def get_config(self) -> dict[str, Any]:
        return {"theta": self.theta, **super().get_config()}
