"""Base of the weightings that minimise one function of all losses."""

from typing import Any

import numpy as np
from keras import ops

from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import numbers_by_task
from keras_mtl.utils.argument_validation import preference_by_task
from keras_mtl.utils.argument_validation import spread_over_tasks
from keras_mtl.weightings.weighting import ALONE
from keras_mtl.weightings.weighting import Weighting


class Scalarization(Weighting):
    """Minimises a function S of the losses that a preference shapes.

    By the chain rule the gradient of S is the sum of the task gradients times
    dS/dl_t. A subclass returns these derivatives, in closed form, as
    `weights`, so that S also composes with an aggregator.

    The preference is divided by its sum: the papers take it from the simplex.
    A task without labels in a batch stands aside: S is that of the others,
    with their preferences divided by their own sum.

    Args:
        preference: Numbers from 0 up, not all zero: a dict by names of tasks,
            or a sequence in the order of `loss`. None means equal numbers.
        name: Name of the method.
    """

    def __init__(self, preference: Any = None, name: str | None = None):
        super().__init__(name=name)
        self.preference = preference_by_task(preference)

    def create_state(self, task_names: tuple[str, ...]) -> None:
        """Checks that the preference fits the tasks."""
        spread_over_tasks("preference", self.preference, task_names)

    def weights(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        """The derivatives dS/dl.

        Args:
            losses: float tensor of shape `(num_tasks,)`.
            present: booleans of shape `(num_tasks,)`, false for a task without
                labels in the batch; `None` where all take part.
        """
        raise NotImplementedError(
            f"{type(self).__name__} should implement `weights(losses, "
            "present)`."
        )

    def weigh(self, losses: Tensor, step: StepInfo = ALONE) -> Tensor:
        return self.weights(losses, step.present)

    def preference_of(
        self, losses: Tensor, present: Tensor | None = None
    ) -> Tensor:
        """The preference `[T]`, which sums to one; zero for absent tasks."""
        values = self._by_task("preference", losses)
        preference = constant(values / values.sum(), losses)
        if present is None:
            return preference
        preference = of_present(preference, present)
        return preference / divisor(ops.sum(preference))

    def _by_task(
        self, argument: str, losses: Tensor, default: float | None = None
    ) -> np.ndarray:
        given = getattr(self, argument)
        if isinstance(given, dict):
            self.check_built()
        names = self.task_names or range(losses.shape[0])
        return np.array(spread_over_tasks(argument, given, names, default))

    def get_config(self) -> dict[str, Any]:
        return {"preference": self.preference, **super().get_config()}


class ReferenceScalarization(Scalarization):
    """A scalarization of the distances of the losses from a reference point.

    Args:
        preference: As for `Scalarization`.
        reference: The ideal point: a lower bound for each loss, as a dict by
            names of tasks (0 for those not named) or a sequence in the order
            of `loss`. None means zeros.
        name: Name of the method.
    """

    def __init__(
        self,
        preference: Any = None,
        reference: Any = None,
        name: str | None = None,
    ):
        super().__init__(preference=preference, name=name)
        self.reference = numbers_by_task("reference", reference)

    def create_state(self, task_names: tuple[str, ...]) -> None:
        """Checks that preference and reference fit the tasks."""
        super().create_state(task_names)
        spread_over_tasks("reference", self.reference, task_names, default=0.0)

    def distances(
        self, losses: Tensor, present: Tensor | None = None
    ) -> Tensor:
        """How far losses are from the reference, `[T]`; 0 for absent tasks."""
        reference = self._by_task("reference", losses, default=0.0)
        return of_present(losses - constant(reference, losses), present)

    def get_config(self) -> dict[str, Any]:
        return {"reference": self.reference, **super().get_config()}


def constant(values: np.ndarray, like: Tensor) -> Tensor:
    """The values as a tensor of the other tensor's dtype."""
    return ops.convert_to_tensor(values, dtype=like.dtype)


def of_present(
    values: Tensor, present: Tensor | None, other: float = 0.0
) -> Tensor:
    """The values `[T]`, with another for tasks that have no labels."""
    if present is None:
        return values
    return ops.where(present, values, ops.full_like(values, other))
