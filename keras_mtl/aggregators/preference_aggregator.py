"""Base of the methods that take a preference between the tasks."""

from typing import Any

import numpy as np
from keras import ops

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import preference_by_task
from keras_mtl.utils.argument_validation import spread_over_tasks


class PreferenceAggregator(Aggregator):
    """Holds one number from 0 up for each task.

    What it means, and the numbers that None stands for, a subclass says; it
    asks for them by `preference_of`.

    Args:
        preference: Numbers from 0 up, not all zero: a dict by names of tasks,
            or a sequence in the order of `loss`. None means equal numbers.
        granularity: `"model"`, `"layer"` or `"variable"`.
        name: Name of the method.
    """

    def __init__(
        self,
        preference: Any = None,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.preference = preference_by_task(preference)

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Checks that the preference fits the tasks."""
        spread_over_tasks("preference", self.preference, task_names)

    def preference_of(self, gram: Tensor, default: float) -> Tensor:
        """The preference `[T]`, `default` for each task if there is none.

        Args:
            gram: Tensor whose last axis is that of the tasks.
            default: Number for each task.
        """
        size = gram.shape[-1]
        if isinstance(self.preference, dict):
            self.check_built()
        if self.preference is None:
            values = [default] * size
        else:
            names = self.task_names or range(size)
            values = spread_over_tasks("preference", self.preference, names)
        return ops.convert_to_tensor(np.array(values), dtype=gram.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"preference": self.preference, **super().get_config()}
