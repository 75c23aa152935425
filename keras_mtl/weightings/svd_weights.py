"""Fixed weights, such as those that the SVD finds before training."""

from typing import Any

import keras
from keras import ops

from keras_mtl.transfer.svd_task_weights import svd_task_weights
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.by_output import TASKS
from keras_mtl.utils.by_output import check_entries
from keras_mtl.weightings.weighting import Weighting


@keras.saving.register_keras_serializable(package="keras_mtl")
class SVDWeights(Weighting):
    """Weights tasks by how much of their signal others share.

    Against label noise, when all tasks have the same inputs: the direction
    X'y_t in which a task's labels depend on the features, of which a noisy
    task has little in common with the others. `from_data` computes the weights
    once, before training; see `keras_mtl.transfer.svd_task_weights` for the
    formula. They are not negative and their mean is one.

    Args:
        task_weights: A dict from names of tasks to numbers from 0 up. A task
            that is not named has weight 1.
        name: Name of the method.

    Example:

    ```python
    weighting = keras_mtl.weightings.SVDWeights.from_data(
        features, {"left": left_labels, "right": right_labels}, rank=1
    )
    model.compile("adam", loss=losses, weighting=weighting)
    ```

    Reference:

    - [Understanding and Improving Information Transfer in Multi-Task Learning](
        https://arxiv.org/abs/2005.00944), Wu, Zhang and Re 2020, algorithm 2
    """

    reads = frozenset()

    def __init__(self, task_weights: dict[str, float], name: str | None = None):
        super().__init__(name=name)
        if not isinstance(task_weights, dict):
            raise ValueError(
                "`task_weights` must be a dict from names of tasks to numbers; "
                "`SVDWeights.from_data` computes them. Received: "
                f"task_weights={task_weights!r}"
            )
        self.task_weights = {
            task: number_from_zero(f"task_weights[{task!r}]", weight)
            for task, weight in task_weights.items()
        }

    @classmethod
    def from_data(
        cls,
        features: Any,
        labels: dict[str, Any],
        rank: int = 1,
        center: bool = False,
        name: str | None = None,
    ) -> "SVDWeights":
        """Computes the weights from data.

        Args:
            features, labels, rank, center: As for
                `keras_mtl.transfer.svd_task_weights`.
            name: Name of the method.
        """
        return cls(svd_task_weights(features, labels, rank, center), name=name)

    def create_state(self, task_names: tuple[str, ...]) -> None:
        """Checks that the weights are those of tasks."""
        check_entries("task_weights", self.task_weights, task_names, TASKS)

    def weights(self, losses: Tensor) -> Tensor:
        self.check_built()
        values = [self.task_weights.get(name, 1.0) for name in self.task_names]
        return ops.convert_to_tensor(values, dtype=losses.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"task_weights": self.task_weights, **super().get_config()}
