"""Weighting by homoscedastic uncertainty."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import finite_number
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.by_output import TASKS
from keras_mtl.utils.by_output import check_entries
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.weighting import Weighting


@keras.saving.register_keras_serializable(package="keras_mtl")
class Uncertainty(Weighting):
    """Learns one variance a task and weights its loss by the inverse.

    With `s = log(variance)`, a classification loss becomes
    `exp(-s) * loss + s / 2` and a regression loss (mean squared error)
    `exp(-s) / 2 * loss + s / 2`. At the optimum the variance is twice the
    loss of a classification task, and equals that of a regression task.

    The log-variances are weights of the model. They are trained by the model's
    optimizer, or by plain gradient descent with a `learning_rate` of their own.

    Args:
        regression_tasks: sequence of strings. Names of the tasks with the
            regression form; all others have the classification form.
        initial_log_variance: float. Where every log-variance starts.
        min_log_variance: float or `None`. Lower bound in the loss; a
            log-variance below it receives no gradient.
        max_log_variance: float or `None`. Upper bound, likewise.
        learning_rate: float or `None`. `None` trains the log-variances with
            the model's optimizer.
        name: string. Defaults to `"uncertainty"`.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"digit": "sparse_categorical_crossentropy", "angle": "mse"},
        weighting=keras_mtl.weightings.Uncertainty(regression_tasks=["angle"]),
    )
    ```

    Reference:

    - [A. Kendall et al., 2018](https://arxiv.org/abs/1705.07115)
    """

    def __init__(
        self,
        regression_tasks: Sequence[str] = (),
        initial_log_variance: float = 0.0,
        min_log_variance: float | None = None,
        max_log_variance: float | None = None,
        learning_rate: float | None = None,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if isinstance(regression_tasks, str):
            raise ValueError(
                "`regression_tasks` should be a sequence of task names, e.g. "
                f"['{regression_tasks}']. Received: "
                f"regression_tasks={regression_tasks!r}"
            )
        if learning_rate is not None:
            learning_rate = number_above_zero("learning_rate", learning_rate)
        self.regression_tasks = list(regression_tasks)
        self.initial_log_variance = finite_number(
            "initial_log_variance", initial_log_variance
        )
        self.min_log_variance = _bound("min_log_variance", min_log_variance)
        self.max_log_variance = _bound("max_log_variance", max_log_variance)
        bounds = (self.min_log_variance, self.max_log_variance)
        if None not in bounds and bounds[0] >= bounds[1]:
            raise ValueError(
                "`min_log_variance` should be less than `max_log_variance`. "
                f"Received: {min_log_variance} and {max_log_variance}"
            )
        self.learning_rate = learning_rate

    def create_state(self, task_names: tuple[str, ...]) -> None:
        check_entries(
            "regression_tasks", self.regression_tasks, task_names, TASKS
        )
        is_trained = self.learning_rate is None
        add = self.add_parameter if is_trained else self.add_state
        self.log_variance = add(
            "log_variance", (len(task_names),), self.initial_log_variance
        )

    def weights(self, losses: Tensor) -> Tensor:
        del losses
        self.check_built()
        factors = [
            0.5 if name in self.regression_tasks else 1.0
            for name in self.task_names
        ]
        return ops.convert_to_tensor(factors) * ops.exp(-self._bounded())

    def penalties(self) -> Tensor:
        return self._bounded() / 2

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        del observed
        if self.learning_rate is None:
            return
        bounded = self._bounded()
        gradient = 0.5 - self.weights(losses) * losses
        # As automatic differentiation has it: nothing beyond the bounds.
        inside = ops.equal(bounded, ops.cast(self.log_variance, "float32"))
        # NaN is the loss of a task without labels.
        moves = ops.logical_and(inside, ops.isfinite(gradient))
        step = ops.where(moves, self.learning_rate * gradient, 0.0)
        self.log_variance.assign(self.log_variance - step)

    def _bounded(self) -> Tensor:
        # Of the type of the losses, whatever the optimizer wants.
        value = ops.cast(self.log_variance, "float32")
        if self.min_log_variance is not None:
            value = ops.maximum(value, self.min_log_variance)
        if self.max_log_variance is not None:
            value = ops.minimum(value, self.max_log_variance)
        return value

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "regression_tasks": self.regression_tasks,
            "initial_log_variance": self.initial_log_variance,
            "min_log_variance": self.min_log_variance,
            "max_log_variance": self.max_log_variance,
            "learning_rate": self.learning_rate,
        }


def _bound(argument: str, value: Any) -> float | None:
    return None if value is None else finite_number(argument, value)
