"""STCH: a smooth maximum of the weighted losses."""

from typing import Any

import keras
from keras import ops

from keras_mtl.arguments import number_above_zero
from keras_mtl.weightings.scalarization import ReferenceScalarization
from keras_mtl.weightings.scalarization import of_present

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_mtl")
class STCH(ReferenceScalarization):
    """Smooth Tchebycheff scalarization: minimises a soft maximum.

    With the preference p (it sums to one) and the reference z it minimises

        S(l) = mu log sum_t exp(p_t (l_t - z_t) / mu),

    which lies above the maximum of p_t (l_t - z_t) by mu log(T) at most. The
    weights are dS/dl_t = p_t softmax(p (l - z) / mu)_t: not negative, and with
    equal preferences they sum to 1 / T. A large mu gives p_t / T, fixed
    weights; a small one gives `Tchebycheff`, the worst task alone.

    The losses should be of one scale, for example by `loss_weights`. A task
    without labels in a batch takes no part: S is that of the others.

    Args:
        mu: Number above 0. The paper tries 0.01, 0.1, 0.5 and 1 and finds
            none the best for all problems; it names no default.
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
        weighting=keras_mtl.weightings.STCH(
            mu=0.1, preference={"left": 2.0, "right": 1.0}
        ),
    )
    ```

    Reference:

    - [Smooth Tchebycheff Scalarization for Multi-Objective Optimization](
        https://arxiv.org/abs/2402.19078), Lin et al. 2024
    """

    def __init__(
        self,
        mu: float = 0.1,
        preference: Any = None,
        reference: Any = None,
        name: str | None = None,
    ):
        super().__init__(preference=preference, reference=reference, name=name)
        self.mu = number_above_zero("mu", mu)

    def weights(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        losses = ops.convert_to_tensor(losses)
        preference = self.preference_of(losses, present)
        scores = preference * self.distances(losses, present)
        scores = of_present(scores / self.mu, present, other=-1e30)
        return preference * ops.softmax(scores)

    def get_config(self) -> dict[str, Any]:
        return {"mu": self.mu, **super().get_config()}
