"""The metric that shows in `fit`'s logs how much the tasks conflict."""

from typing import Any

import keras
from keras import ops

Tensor = Any


class GradientConflict(keras.metrics.Metric):
    """Share of task pairs whose gradients have a negative inner product.

    It also remembers what the last step saw, for callbacks to read:
    `gram`, the inner products `[T, T]` of the task gradients over all shared
    variables, and `task_weights`, `[T]`, what the aggregator made of them.

    Args:
        num_tasks: integer.
        name: string.
    """

    def __init__(self, num_tasks: int, name: str = "gradient_conflict"):
        super().__init__(name=name, dtype="float32")
        self.num_tasks = num_tasks
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")
        self.gram = self.add_variable(
            (num_tasks, num_tasks), "zeros", name="gram"
        )
        self.task_weights = self.add_variable(
            (num_tasks,), "zeros", name="task_weights"
        )

    def update_state(self, gram: Tensor, task_weights: Tensor) -> None:
        # The diagonal is never negative, and each pair stands there twice.
        pairs = max(self.num_tasks * (self.num_tasks - 1), 1)
        negative = ops.sum(ops.cast(ops.less(gram, 0), self.dtype))
        self.total.assign_add(negative / pairs)
        self.count.assign_add(1.0)
        self.gram.assign(gram)
        self.task_weights.assign(task_weights)

    def result(self) -> Tensor:
        return ops.divide_no_nan(self.total, self.count)
