"""ExcessMTL: weight for the tasks that are far from their best loss."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Column
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_from_zero

LARGEST = np.finfo("float32").max


@keras.saving.register_keras_serializable(package="keras_mtl")
class ExcessMTL(Aggregator):
    """Raises the weights of tasks by their excess risks.

    The excess risk is what a loss has above the lowest that it can reach. A
    task with wrong labels keeps a high loss, but not a high excess risk. It is
    estimated with the squares of the gradients as curvature (a sum over all
    steps, as in Adagrad), relative to what it was at first, and the weights
    move by a multiplicative step:

        S_i <- S_i + g_i^2
        e_i  = sum over coordinates of g_i^2 / sqrt(S_i + 1e-7)
        w_i <- w_i exp(eta e_i / e_i(0)), then all divided by their sum

    The weights start equal, sum to one (in the authors' code to T) and stay as
    they are while e_i(0) is measured: it is the mean over the task's first
    `warmup_steps` steps with a gradient other than zero.

    The weights are kept as logarithms: one that is too small for float32 is
    zero, and can come back. The 1e-7 is absolute: what gradients much shorter
    than 3e-4 give is not independent of their scale.

    The sums of squares take T times the memory of the model. A task without
    labels in a batch takes no part in the step, and keeps its sum of squares
    and its weight.

    Args:
        eta: Step size of the weights. The authors' code has 0.01, and 1 in the
            runs that it shows.
        warmup_steps: Steps over which e_i(0) is averaged. 1 (default) is the
            authors' code; their paper averages over three epochs.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`: each with weights of its own.
        name: Name of the method.

    Example:

    >>> model.compile("adam", loss=losses,
    ...               aggregator=keras_mtl.aggregators.ExcessMTL())

    Reference:

    - [Robust Multi-Task Learning with Excess Risks](
        https://arxiv.org/abs/2402.02009), He et al. 2024
    """

    transforms = True
    forgetting_hint = "Leave `representation` out."

    def __init__(
        self,
        eta: float = 0.01,
        warmup_steps: int = 1,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.eta = number_from_zero("eta", eta)
        self.warmup_steps = integer_from(1, "warmup_steps", warmup_steps)

    def create_state(self, spec: GradientSpec) -> None:
        """Makes sums of squares, weights, first risks and counts for these."""
        shape = (*spec.group_shape, spec.num_tasks)
        self.squares = self.add_slots("squares", spec.shapes, spec.num_tasks)
        self.log_weights = self.add_state(
            "log_weights", shape, -np.log(spec.num_tasks)
        )
        self.first_risks = self.add_state("first_risks", shape)
        self.steps = self.add_state("steps", shape)

    def transform(
        self, gradients: Sequence[Column], step: StepInfo
    ) -> list[Column]:
        """Appends g / (S + 1e-7)^(1/4), whose squared norm is the risk."""
        learning = slots.taking_part(step.present, len(gradients[0]))
        rows = []
        for slot, column in zip(self.squares, gradients, strict=True):
            held = slots.held_rows(slot, column)
            column = [
                None if g is None else ops.cast(g, slot.dtype) for g in column
            ]
            sums = [
                # A sum that float32 does not hold would stay infinite.
                None
                if g is None
                else ops.minimum(held[t] + ops.square(g), LARGEST)
                for t, g in enumerate(column)
            ]
            slots.store_rows(slot, sums, learning)
            scaled = [
                None if g is None else g / ops.sqrt(ops.sqrt(s + 1e-7))
                for g, s in zip(column, sums, strict=True)
            ]
            rows.append([*column, *scaled])
        return rows

    def weights(self, gram: Tensor) -> Tensor:
        """Not to be had: a Gram matrix does not hold the excess risks."""
        raise NotImplementedError(
            "ExcessMTL needs the squares of the gradients, coordinate by "
            "coordinate. Call the aggregator itself: `aggregator(jacobian)`."
        )

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        """Weights of the gradients, and zeros for the rows of the risks."""
        gram = to_gram(gram)
        num_tasks = gram.shape[-1] // 2
        present = slots.taking_part(step.present, num_tasks)
        risks = diagonal(gram)[..., num_tasks:]
        steps = ops.cast(self.steps, gram.dtype)
        counted = ops.logical_and(present, risks > 0)
        steps = steps + ops.cast(counted, gram.dtype)
        first = self._first_risks(risks, steps, counted)
        warm = ops.logical_and(counted, steps > self.warmup_steps)
        growth = self.eta * risks / divisor(first)
        moved = self._multiplied(ops.where(warm, growth, 0.0), present)
        for variable, value in (
            (self.steps, steps),
            (self.first_risks, first),
            (self.log_weights, moved),
        ):
            variable.assign(ops.cast(value, variable.dtype))
        weights = ops.where(present, ops.exp(moved), 0.0)
        weights = ops.concatenate([weights, ops.zeros_like(weights)], axis=-1)
        return slots.nan_like(weights, gram)

    def _first_risks(
        self, risks: Tensor, steps: Tensor, counted: Tensor
    ) -> Tensor:
        """The mean risks of the warm-up, with the present step if in it."""
        first = ops.cast(self.first_risks, risks.dtype)
        early = ops.logical_and(counted, steps <= self.warmup_steps)
        mean = first + (risks - first) / ops.maximum(steps, 1.0)
        return ops.where(early, mean, first)

    def _multiplied(self, growth: Tensor, present: Tensor) -> Tensor:
        """Log weights after a step, with the same sum over present tasks."""
        held = ops.cast(self.log_weights, growth.dtype)
        before = ops.where(present, held, -float("inf"))
        after = before + growth
        change = _log_sum(after) - _log_sum(before)
        return ops.where(present, held + growth - change, held)

    def get_config(self) -> dict[str, Any]:
        return {
            "eta": self.eta,
            "warmup_steps": self.warmup_steps,
            **super().get_config(),
        }


def _log_sum(values: Tensor) -> Tensor:
    """log sum exp over the last axis, kept."""
    return ops.logsumexp(values, axis=-1, keepdims=True)
