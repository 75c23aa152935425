"""Weighting by homoscedastic uncertainty."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import finite_number
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import one_of
from keras_mtl.utils.by_output import TASKS
from keras_mtl.utils.by_output import check_entries
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.weighting import Weighting

# How many times the log-variance is what is trained: log(sigma^2) is
# 2 log(sigma).
PARAMETERIZATIONS = {"log_variance": 1.0, "log_sigma": 2.0}


@keras.saving.register_keras_serializable(package="keras_mtl")
class Uncertainty(Weighting):
    """Learns one variance a task and weights its loss by the inverse.

    With `s = log(variance)`, a classification loss becomes
    `exp(-s) * loss + s / 2` and a regression loss (mean squared error)
    `exp(-s) / 2 * loss + s / 2`. At the optimum the variance is twice the
    loss of a classification task, and equals that of a regression task.

    What is trained, `s` or `log(sigma) = s / 2`, is a weight of the model. It
    is trained by the model's optimizer, or by plain gradient descent with a
    `learning_rate` of its own.

    The `parameterization` changes neither loss, weights nor optimum, but how
    fast `s` moves. The gradient by `log(sigma)` is twice that by `s`, and `s`
    moves twice as far as `log(sigma)`. So gradient descent, with or without
    momentum, takes steps of `s` of exactly four times the size, as if the
    learning rate of `s` were four times as large. An optimizer that divides by
    the size of gradients, such as Adam, takes steps of twice the size (but for
    its `epsilon`).

    Code that Kendall et al. published minimises `exp(-s) * loss + s` for all
    tasks, twice the regression form: that is `IMTLL`.

    Args:
        regression_tasks: sequence of strings. Names of the tasks with the
            regression form; all others have the classification form.
        initial_log_variance: float. Where every log-variance starts, whatever
            the `parameterization`: `2.0` is a log(sigma) of 1.
        min_log_variance: float or `None`. Lower bound in the loss; a
            log-variance below it receives no gradient.
        max_log_variance: float or `None`. Upper bound, likewise.
        learning_rate: float or `None`. `None` trains with the model's
            optimizer.
        parameterization: `"log_variance"` (default) trains `s`, as Kendall et
            al. advise; `"log_sigma"` trains `s / 2`, as code of others does,
            among it that of Wang et al.
        name: string. Defaults to `"uncertainty"`.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"digit": "sparse_categorical_crossentropy", "angle": "mse"},
        weighting=keras_mtl.weightings.Uncertainty(regression_tasks=["angle"]),
    )
    ```

    The code of Wang et al. starts `log(sigma)` at 1 and clips it to 0.01 to
    10:

    ```python
    keras_mtl.weightings.Uncertainty(
        initial_log_variance=2.0,
        min_log_variance=0.02,
        max_log_variance=20.0,
        parameterization="log_sigma",
    )
    ```

    Reference:

    - [A. Kendall et al., 2018](https://arxiv.org/abs/1705.07115)
    - [Y. Wang et al., 2020](https://arxiv.org/abs/2008.05808)
    """

    def __init__(
        self,
        regression_tasks: Sequence[str] = (),
        initial_log_variance: float = 0.0,
        min_log_variance: float | None = None,
        max_log_variance: float | None = None,
        learning_rate: float | None = None,
        parameterization: str = "log_variance",
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
        self.parameterization = one_of(
            "parameterization", parameterization, list(PARAMETERIZATIONS)
        )
        self._factor = PARAMETERIZATIONS[parameterization]

    def create_state(self, task_names: tuple[str, ...]) -> None:
        check_entries(
            "regression_tasks", self.regression_tasks, task_names, TASKS
        )
        is_trained = self.learning_rate is None
        add = self.add_parameter if is_trained else self.add_state
        # Files have it under its own name: a log(sigma) is no log-variance.
        self._trained = add(
            self.parameterization,
            (len(task_names),),
            self.initial_log_variance / self._factor,
        )

    @property
    def log_variance(self) -> Tensor:
        """The log-variances, of shape `(num_tasks,)`, before the bounds.

        The variable itself where it is what is trained.
        """
        self.check_built()
        if self.parameterization == "log_variance":
            return self._trained
        return self._factor * ops.convert_to_tensor(self._trained)

    @property
    def log_sigma(self) -> Tensor:
        """The logarithms of the standard deviations, likewise."""
        self.check_built()
        if self.parameterization == "log_sigma":
            return self._trained
        return ops.convert_to_tensor(self._trained) / 2

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
        gradient = self._factor * (0.5 - self.weights(losses) * losses)
        # As automatic differentiation has it: nothing beyond the bounds.
        inside = ops.equal(bounded, self._log_variance())
        # NaN is the loss of a task without labels.
        moves = ops.logical_and(inside, ops.isfinite(gradient))
        step = ops.where(moves, self.learning_rate * gradient, 0.0)
        self._trained.assign(self._trained - step)

    def _log_variance(self) -> Tensor:
        # Of the type of the losses, whatever the optimizer wants.
        value = ops.cast(self._trained, "float32")
        return value if self._factor == 1 else self._factor * value

    def _bounded(self) -> Tensor:
        value = self._log_variance()
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
            "parameterization": self.parameterization,
        }


def _bound(argument: str, value: Any) -> float | None:
    return None if value is None else finite_number(argument, value)
