"""CR-MOGM: a moving average of the weights of another method."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.decaying_rule import DecayingRule
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class CRMOGM(DecayingRule):
    """Smooths the weights that another aggregator gives from step to step.

    Weights that are computed from the gradients of a batch correlate with the
    noise of these gradients, and so the update is biased. Correlation-reduced
    stochastic multi-objective gradient manipulation lets the weights w' of the
    other method in slowly:

        w <- decay * w + (1 - decay) * w'

    The first step has no w and takes w' as it is. The convention is that of
    the other method: weights that sum to one still do. Its guarantees hold
    only on the average: the update may conflict with a gradient of this step.

    The weight of a task without labels in the batch stays as it is.

    Args:
        aggregator: The other method, an `Aggregator` or its name; one that
            computes weights from the inner products of the gradients. Its
            granularity is that of the whole.
        decay: Share of the old weights, alpha in the paper, from 0 (no
            smoothing) to below 1. The paper lets it rise as the learning rate
            falls and gives no number; 0.9 is customary.
        name: Name of the method.

    Example:

    >>> smooth = keras_mtl.aggregators.CRMOGM("mgda", decay=0.5)
    >>> smooth.update([[1., 0.], [0., 1.]])
    [0.5 0.5]
    >>> smooth.update([[1., 0.], [0., 4.]])
    [0.65 0.35]

    Reference:

    - [On the Convergence of Stochastic Multi-Objective Gradient Manipulation
        and Beyond](https://openreview.net/forum?id=ScwfQ7hdwyP), Zhou et al.
        2022
    """

    def __init__(
        self,
        aggregator: Any = "mgda",
        decay: float = 0.9,
        name: str | None = None,
    ):
        super().__init__(aggregator, decay, name)

    def create_state(self, spec: GradientSpec) -> None:
        """Makes the averages `[..., T]`, and what the other method needs."""
        self.aggregator.build(spec, replace=True)
        shape = (*spec.group_shape, spec.num_tasks)
        self.averages = self.add_state("averages", shape)
        self.seen = self.add_state("seen", shape)

    def weights(self, gram: Tensor) -> Tensor:
        """What a step with these inner products would give; it takes none.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`.
        """
        gram = to_gram(gram)
        self.build_for(gram)
        return self._averaged(self.aggregator.weights(gram), None)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        gram = to_gram(gram)
        self.build_for(gram)
        new = self.aggregator.update(gram, step)
        average = self._averaged(new, step.present)
        moves = True if step.present is None else step.present
        old = ops.convert_to_tensor(self.averages)
        stored = ops.cast(average, self.averages.dtype)
        self.averages.assign(ops.where(moves, stored, old))
        seen = ops.logical_or(self.seen > 0.5, moves)
        self.seen.assign(ops.cast(seen, self.seen.dtype))
        return average

    def _averaged(self, new: Tensor, present: Tensor | None) -> Tensor:
        """The averages after a step; those of absent tasks stay."""
        new = ops.convert_to_tensor(new)
        old = ops.cast(self.averages, new.dtype)
        seen = self.seen > 0.5
        average = self.decay * old + (1 - self.decay) * new
        average = ops.where(seen, average, new)
        if present is None:
            return average
        return ops.where(seen & ~ops.cast(present, "bool"), old, average)
