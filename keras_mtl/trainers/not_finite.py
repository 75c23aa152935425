"""Saying whose loss is not finite, once, where training goes on with NaN."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.types import Tensor


class NotFinite(keras.metrics.Metric):
    """Counts, for each task, the steps since its loss was first not finite.

    One bad loss makes the shared weights NaN, and from the next step on all
    losses are. The task with the highest count was the first. The model keeps
    it out of its `metrics`, so that it is neither logged nor reset: an epoch's
    validation would have forgotten what its training saw.

    Args:
        task_names: Names of the tasks, in the order of their losses.
        name: string.
    """

    def __init__(self, task_names: Sequence[str], name: str = "not_finite"):
        super().__init__(name=name, dtype="float32")
        self.task_names = list(task_names)
        self.steps = self.add_variable(
            (len(self.task_names),), "zeros", name="steps"
        )
        self.told = False

    def update_state(self, losses: Tensor) -> None:
        """Takes the losses `[T]` of one step."""
        before = ops.greater(self.steps, 0)
        bad = ops.logical_or(before, ops.logical_not(ops.isfinite(losses)))
        self.steps.assign_add(ops.cast(bad, self.dtype))

    def result(self) -> Tensor:
        return ops.convert_to_tensor(self.steps)

    def first_tasks(self) -> list[str]:
        """The tasks whose loss was the first that was not finite."""
        steps = ops.convert_to_numpy(self.steps)
        first = np.logical_and(steps > 0, steps == steps.max())
        return [
            name
            for name, hit in zip(self.task_names, first, strict=True)
            if hit
        ]

    def tell(self, missing_label: Any = None) -> None:
        """Warns the first time that there is something to say.

        Args:
            missing_label: What the model was compiled with.
        """
        tasks = [] if self.told else self.first_tasks()
        if tasks:
            self.told = True
            warnings.warn(_message(tasks, missing_label), stacklevel=3)


def _message(tasks: list[str], missing_label: Any) -> str:
    several = len(tasks) > 1
    return (
        f"The {'losses' if several else 'loss'} of the task"
        f"{'s' if several else ''} {', '.join(map(repr, tasks))} became NaN or "
        f"infinite, before any other. Either {_causes_in_data(missing_label)}. "
        "Or training "
        "diverged: lower the learning rate, clip gradients, or give the task "
        "a smaller loss weight. Weights that became NaN stay so: start again "
        f"from a checkpoint. Received: missing_label={missing_label}"
    )


def _causes_in_data(missing_label: Any) -> str:
    if missing_label is None:
        return (
            "labels (or inputs, or sample weights) are NaN: where labels are "
            "missing, compile with `missing_label=float('nan')`, or with the "
            "value that stands for them, and these examples are left out of "
            "the task"
        )
    return (
        "inputs, sample weights or labels other than `missing_label` are NaN; "
        "or a label is missing in part where the loss takes it as a whole, as "
        "that of one-hot labels does; or the loss is not finite at the label "
        "0, which it is given in the place of a missing one"
    )
