"""Averaged: another method, on moving averages of the task gradients."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.decaying_rule import DecayingRule
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.types import Column
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class Averaged(DecayingRule):
    """Lets another aggregator arbitrate between averages of gradients.

    The gradients of a batch are noisy, and weights made of them are biased. So
    each task has a moving average y of its gradient, and the other method sees
    these:

        y <- decay * y + (1 - decay) * g

    The first gradient of a task is its first average. `MoCo` and `DBMTL` do so
    with rules and decays of their own; `CRMOGM` averages weights instead.

    The update is one of averages: the promises of the other method are for
    them, and it may conflict with a gradient of this step. What the logs and
    `GradientMonitor` show is of the averages, too. They take T times the memory
    of the model. A task without labels in a batch takes no part in the step,
    and keeps its average.

    Args:
        aggregator: The other method, an `Aggregator` or its name; one that
            computes weights from the inner products of the gradients. Its
            granularity is that of the whole.
        decay: Share of the old average, from 0 (no averages) to below 1.
        name: Name of the method.

    Example:

    >>> averaged = keras_mtl.aggregators.Averaged("pcgrad", decay=0.5)
    >>> averaged([[1., 0.], [0., 1.]])
    [1. 1.]
    >>> averaged([[1., 0.], [0., 3.]])
    [1. 2.]
    """

    transforms = True
    forgetting_hint = "Use the other method as it is."

    def __init__(
        self,
        aggregator: Any = "pcgrad",
        decay: float = 0.9,
        name: str | None = None,
    ):
        super().__init__(aggregator, decay, name)

    def create_state(self, spec: GradientSpec) -> None:
        """Makes the averages, and what the other method needs."""
        self.aggregator.build(spec, replace=True)
        self.averages = self.add_slots("averages", spec.shapes, spec.num_tasks)
        self.seen = self.add_state("seen", (spec.num_tasks,))

    def transform(
        self, gradients: Sequence[Column], step: StepInfo
    ) -> list[Column]:
        """Moves the averages, and puts them in place of the gradients."""
        learning = slots.taking_part(step.present, len(gradients[0]))
        keep = ops.where(self.seen > 0.5, self.decay, 0.0)
        seen = ops.logical_or(self.seen > 0.5, learning)
        self.seen.assign(ops.cast(seen, "float32"))
        return slots.move_averages(
            self.averages,
            gradients,
            lambda t, held, g: keep[t] * held + (1.0 - keep[t]) * g,
            learning,
        )

    def weights(self, gram: Tensor) -> Tensor:
        """What the other method gives for inner products of the averages.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`.
        """
        return self.aggregator.weights(gram)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        return self.aggregator.update(gram, step)
