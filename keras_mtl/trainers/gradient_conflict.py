"""The metric that shows in `fit`'s logs how much the tasks conflict."""

import keras
from keras import ops

from keras_mtl.backend import num_replicas
from keras_mtl.solvers.matrices import in_units
from keras_mtl.types import Tensor


class GradientConflict(keras.metrics.Metric):
    """Share of task pairs whose gradients have a negative inner product.

    Of methods that put averages in place of the gradients (`MoCo`, and `DBMTL`
    with a `beta`) the share is of the averages.

    Steps whose gradients are not finite do not count: loss scaling skips them.
    It is NaN where no step counts, as when training has diverged.
    It also remembers what the last step saw, for callbacks to read:
    `gram`, the inner products `[T, T]` of the task gradients over all shared
    variables, and `task_weights`, `[T]`, what the aggregator made of them.
    Float32 does not have the squares of gradients of 1e-20 or 1e20:
    `scaled_gram` are the inner products of the gradients over `unit`.

    Args:
        num_tasks: integer.
        name: string.
    """

    def __init__(self, num_tasks: int, name: str = "gradient_conflict"):
        super().__init__(name=name, dtype="float32")
        self.num_tasks = num_tasks
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")
        # Alike on all replicas, while sums are over them.
        self.scaled_gram = self.add_variable(
            (num_tasks, num_tasks), "zeros", aggregation="mean", name="gram"
        )
        self.unit = self.add_variable(
            (), "zeros", aggregation="mean", name="unit"
        )
        self.task_weights = self.add_variable(
            (num_tasks,), "zeros", aggregation="mean", name="task_weights"
        )

    @property
    def gram(self) -> Tensor:
        gram = ops.convert_to_tensor(self.scaled_gram)
        return in_units(gram, ops.convert_to_tensor(self.unit))

    def update_state(
        self, gram: Tensor, task_weights: Tensor, unit: Tensor | float = 1.0
    ) -> None:
        """Takes what one step saw.

        Args:
            gram: Inner products `[T, T]` of the gradients over `unit`.
            task_weights: What the aggregator multiplied them by, `[T]`.
            unit: Scalar above zero.
        """
        negative = ops.less(gram, 0)
        known = ops.cast(ops.all(ops.isfinite(gram)), self.dtype)
        conflicts = known * ops.sum(ops.cast(negative, self.dtype))
        others = known * ops.sum(
            ops.cast(ops.logical_not(negative), self.dtype)
        )
        # The diagonal is never negative, and each pair stands there twice.
        pairs = max(self.num_tasks * (self.num_tasks - 1), 1)
        self.total.assign_add(conflicts / pairs / num_replicas())
        # Counted off the Gram: TensorFlow runs what needs no data once more
        # when a dataset of unknown length has run out.
        seen = (conflicts + others) / self.num_tasks**2
        self.count.assign_add(seen / num_replicas())
        self.scaled_gram.assign(gram)
        self.unit.assign(unit)
        self.task_weights.assign(task_weights)

    def result(self) -> Tensor:
        share = ops.divide_no_nan(self.total, self.count)
        return ops.where(self.count > 0, share, float("nan"))
