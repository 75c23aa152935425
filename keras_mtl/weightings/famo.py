"""FAMO: equal relative progress for all tasks, from losses alone."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.methods.step_info import StepInfo
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.argument_validation import numbers_by_task
from keras_mtl.utils.argument_validation import spread_over_tasks
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.weighting import ALONE
from keras_mtl.weightings.weighting import Weighting

# What keeps the logarithm of a loss at its lower bound finite.
EPSILON = 1e-8
# Adam's, as published.
BETA_1 = 0.9
BETA_2 = 0.999


@keras.saving.register_keras_serializable(package="keras_mtl")
class FAMO(Weighting):
    """Fast adaptive multitask optimization: no task falls behind in log loss.

    With logits x, z = softmax(x) and losses D_t = l_t - b_t + 1e-8 above their
    lower bounds, the weights are

        w_t = (z_t / D_t) / sum_s (z_s / D_s):

    positive, and they sum to one. After the step, the losses of the same batch
    show the progress p_t = log D_t(before) - log D_t(after), and the logits
    take a step of Adam along J p + gamma x, J being the derivative of the
    softmax: tasks with less progress than the mean gain weight.

    It takes no task gradients, but one more forward pass a step. With dropout
    the second pass drops other units, and the progress holds that noise too.

    The authors' code for deep networks also clips the gradient of what the
    tasks share to the norm 1. `aggregator=Sum(max_norm=1.0)` does so, at the
    price of a backward pass a task; `global_clipnorm=1.0` of the optimizer
    costs nothing and counts heads, too. Its scripts have a gamma of 0.001,
    others of its programs 0.01 and 1e-5.

    Losses should be above their bounds. A task whose loss is at or below its
    bound (no labels in the batch, or nothing left to learn) takes no part in
    the step. Logits of tasks whose losses before or after are not finite, and
    Adam's memory of them, stay.

    Args:
        learning_rate: Adam's, above 0; the paper's is 0.025.
        gamma: Decay of the logits, from 0 up; the paper's is 0.001.
        min_losses: The lower bounds b: one number, a dict by names of tasks (0
            for those not named), or a sequence in the order of `loss`.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"left": "mse", "right": "mse"},
        weighting=keras_mtl.weightings.FAMO(),
    )
    ```

    Reference:

    - [FAMO: Fast Adaptive Multitask Optimization](
        https://arxiv.org/abs/2306.03792), Liu et al. 2023
    """

    reads = frozenset({"losses", "losses_after"})

    def __init__(
        self,
        learning_rate: float = 0.025,
        gamma: float = 1e-3,
        min_losses: Any = 0.0,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.learning_rate = number_above_zero("learning_rate", learning_rate)
        self.gamma = number_from_zero("gamma", gamma)
        self.min_losses = numbers_by_task("min_losses", min_losses)

    def create_state(self, task_names: tuple[str, ...]) -> None:
        self._bounds = np.array(
            spread_over_tasks("min_losses", self.min_losses, task_names, 0.0),
            "float32",
        )

        shape = (len(task_names),)
        self.logits = self.add_state("logits", shape)
        self.momentum = self.add_state("momentum", shape)
        self.velocity = self.add_state("velocity", shape)
        # By task: one without labels does not move.
        self.steps = self.add_state("steps", shape)

    def weigh(self, losses: Tensor, step: StepInfo = ALONE) -> Tensor:
        return self.weights(losses, step.present)

    def weights(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        self.check_built()
        losses = ops.convert_to_tensor(losses)
        takes_part = ops.greater(losses, self._bounds)
        if present is not None:
            takes_part = ops.logical_and(takes_part, present)
        logits = ops.convert_to_tensor(self.logits)
        scores = logits - ops.log(self._above_bounds(losses))
        scores = ops.where(takes_part, scores, -1e30)
        return ops.where(takes_part, ops.softmax(scores), 0.0)

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        losses_after = observed.losses_after
        moves = ops.logical_and(
            ops.isfinite(losses), ops.isfinite(losses_after)
        )
        before = ops.log(self._above_bounds(losses))
        progress = before - ops.log(self._above_bounds(losses_after))
        progress = ops.where(moves, progress, 0.0)
        logits = ops.convert_to_tensor(self.logits)
        shares = ops.softmax(ops.where(moves, logits, -1e30))
        mean = ops.sum(shares * progress)
        gradient = shares * (progress - mean) + self.gamma * logits
        self._adam_step(gradient, moves)

    def _above_bounds(self, losses: Tensor) -> Tensor:
        above = ops.subtract(losses, self._bounds)
        return ops.maximum(above, 0.0) + EPSILON

    def _adam_step(self, gradient: Tensor, moves: Tensor) -> None:
        """Adam, one entry at a time; those that do not move remember all."""
        steps = self.steps + 1.0
        momentum = BETA_1 * self.momentum + (1 - BETA_1) * gradient
        velocity = BETA_2 * self.velocity + (1 - BETA_2) * gradient * gradient
        # 1 - beta^steps without the rounding of a difference.
        mean = momentum / -ops.expm1(steps * math.log(BETA_1))
        square = velocity / -ops.expm1(steps * math.log(BETA_2))
        step = self.learning_rate * mean / (ops.sqrt(square) + 1e-8)
        new = (self.logits - step, momentum, velocity, steps)
        old = (self.logits, self.momentum, self.velocity, self.steps)
        for variable, value in zip(old, new, strict=True):
            stays = ops.convert_to_tensor(variable)
            variable.assign(ops.where(moves, value, stays))

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "gamma": self.gamma,
            "min_losses": self.min_losses,
            **super().get_config(),
        }
