"""The mean without the extremes, coordinate by coordinate."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import to_jacobian
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from


@keras.saving.register_keras_serializable(package="keras_mtl")
class TrimmedMean(Aggregator):
    """Averages the task gradients without the largest and smallest entries.

    In each coordinate, on its own, the b = `num_trimmed` largest and the b
    smallest of the T entries are dropped and the others averaged: the update
    is their sum over T - 2 b. b = 0 is the mean; the largest b possible, with
    T odd, the median. Up to b gradients may be arbitrarily wrong.

    The update is no combination of the gradients, and may conflict with all.
    T is the number of tasks that reach the variable; where it leaves nothing of
    them, b is the largest that does. A task without labels in the batch counts,
    with a gradient of zero.

    Args:
        num_trimmed: How many entries b to drop at each end. The paper's
            fraction beta is b / T, below 1/2.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.TrimmedMean()(
    ...     [[1e9, 3.], [1., -1e9], [-1e8, 1e8], [2., 2.]])
    [1.5 2.5]

    Reference:

    - [Byzantine-Robust Distributed Learning: Towards Optimal Statistical
        Rates](https://arxiv.org/abs/1803.01498), Yin et al. 2018
    """

    sees = "entries"

    def __init__(self, num_trimmed: int = 1, name: str | None = None):
        super().__init__(name=name)
        self.num_trimmed = integer_from(0, "num_trimmed", num_trimmed)

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Checks that something is left of all tasks."""
        self._check_number(len(task_names))

    def combine(self, jacobian: Tensor, step: StepInfo = ALONE) -> Tensor:
        """One gradient from the task gradients.

        Args:
            jacobian: Float tensor or NumPy array `[T, n]`, a task a row.
            step: Unused.

        Returns:
            Float tensor `[n]`.
        """
        del step
        jacobian = to_jacobian(jacobian)
        num_tasks = jacobian.shape[0]
        rows = ops.unstack(jacobian)
        for _ in range(min(self.num_trimmed, (num_tasks - 1) // 2)):
            rows = _without_extremes(rows)
        # What is not finite must not be trimmed: the loss scaler looks for it.
        noticed = ops.sum(0.0 * jacobian, axis=0)
        return ops.mean(ops.stack(rows), axis=0) + noticed

    def _check_number(self, num_tasks: int) -> None:
        if num_tasks <= 2 * self.num_trimmed:
            raise ValueError(
                "`num_trimmed` must be less than half the number of tasks, "
                f"here {num_tasks}. Received: num_trimmed={self.num_trimmed}"
            )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["granularity"]
        return {"num_trimmed": self.num_trimmed, **config}


def _without_extremes(rows: Sequence[Tensor]) -> list[Tensor]:
    """Rows with the same entries in each coordinate but two extreme ones.

    A pass that moves the largest entry to the end, and one that moves the
    smallest to the front. XLA fuses them; sorting takes 100 times as long.
    """
    rows = list(rows)
    for here in range(len(rows) - 1):
        pair = rows[here], rows[here + 1]
        rows[here : here + 2] = ops.minimum(*pair), ops.maximum(*pair)
    rows.pop()
    for here in range(len(rows) - 1, 0, -1):
        pair = rows[here - 1], rows[here]
        rows[here - 1 : here + 1] = ops.minimum(*pair), ops.maximum(*pair)
    return rows[1:]
