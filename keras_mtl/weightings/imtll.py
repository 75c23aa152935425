"""IMTL-L: the loss balance of impartial multi-task learning."""

from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import finite_number
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.weighting import Weighting


@keras.saving.register_keras_serializable(package="keras_mtl")
class IMTLL(Weighting):
    """Learns one scale a task that brings all losses to the same size.

    A loss becomes `exp(s) * loss - s`. At the optimum of `s` the scaled loss
    is one for every task, so the weights follow one over the losses, which
    should be positive. It is twice the regression form of `Uncertainty` with
    `s` for minus the log-variance, derived without a likelihood.

    The scales `s` are weights of the model. They are trained by the model's
    optimizer, or by plain gradient descent with a `learning_rate` of their own.

    Args:
        initial_scale: Where every `s` starts. 0 starts as the plain losses.
        learning_rate: Number above 0, or None to train the scales with the
            model's optimizer, as published.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"digit": "sparse_categorical_crossentropy", "angle": "mse"},
        weighting=keras_mtl.weightings.IMTLL(learning_rate=0.01),
    )
    ```

    Reference:

    - [Towards Impartial Multi-task Learning](
        https://openreview.net/forum?id=IMPnRXEWpvr), Liu et al. 2021
    """

    def __init__(
        self,
        initial_scale: float = 0.0,
        learning_rate: float | None = None,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if learning_rate is not None:
            learning_rate = number_above_zero("learning_rate", learning_rate)
        self.initial_scale = finite_number("initial_scale", initial_scale)
        self.learning_rate = learning_rate

    def create_state(self, task_names: tuple[str, ...]) -> None:
        shape = (len(task_names),)
        is_trained = self.learning_rate is None
        add = self.add_parameter if is_trained else self.add_state
        self.scale = add("scale", shape, self.initial_scale)

    def weights(self, losses: Tensor) -> Tensor:
        del losses
        self.check_built()
        return ops.exp(self._scale())

    def penalties(self) -> Tensor:
        return -self._scale()

    def _scale(self) -> Tensor:
        # Of the type of the losses, whatever the optimizer wants.
        return ops.cast(self.scale, "float32")

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        del observed
        if self.learning_rate is None:
            return
        gradient = self.weights(losses) * losses - 1.0
        # NaN is the loss of a task without labels.
        moves = ops.isfinite(gradient)
        step = ops.where(moves, self.learning_rate * gradient, 0.0)
        self.scale.assign(self.scale - step)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_scale": self.initial_scale,
            "learning_rate": self.learning_rate,
            **super().get_config(),
        }
