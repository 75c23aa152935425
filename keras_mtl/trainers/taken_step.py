"""Whether a training step changes the model, or is skipped."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.backend import on_all_replicas
from keras_mtl.trainers.gradient_conflict import GradientConflict
from keras_mtl.trainers.objectives import Objectives
from keras_mtl.types import Tensor


def is_taken(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Tensor | None],
    objectives: Objectives,
    conflict: GradientConflict | None,
    scale_free: bool = False,
) -> Tensor:
    """Boolean scalar: whether methods may learn from a step.

    They learn from steps whose losses and inner products are finite, which
    costs no look at the gradients themselves. A loss scaler skips steps of
    which a gradient is not finite, and the methods skip those, too.

    Args:
        optimizer: The model's.
        gradients: What the optimizer was given.
        objectives: Of this step.
        conflict: The metric that saw the inner products of this step, if there
            is an aggregator.
        scale_free: Whether the aggregator is content with inner products of
            gradients over a unit, which are finite where squares are not.
    """
    taken = ops.all(_can_be_learnt(objectives))
    if conflict is not None:
        gram = conflict.scaled_gram if scale_free else conflict.gram
        gram = ops.convert_to_tensor(gram)
        taken = ops.logical_and(taken, ops.all(ops.isfinite(gram)))
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # Finite gradients are not enough: a loss overflows before them, as the
        # square of an error of 1e20 does, and would stay in an average.
        taken = ops.logical_and(taken, optimizer.check_finite(gradients))
    return on_all_replicas(taken)


def _can_be_learnt(objectives: Objectives) -> Tensor:
    """Booleans `[T]`: whether what a method saw of each loss is no mistake."""
    finite = ops.isfinite(objectives.seen)
    if objectives.present is None:
        return finite
    # Of a task without labels methods see NaN. An infinite loss they did see,
    # also where the weight that they made of it, zero, keeps the task out.
    none = ops.logical_and(
        ops.logical_not(objectives.present), ops.isnan(objectives.seen)
    )
    return ops.logical_or(finite, none)


def keep_state_of_step(
    model: Any, objectives: Objectives, gradients: Sequence[Tensor | None]
) -> None:
    """Undoes what the methods remember of a step that is not taken.

    Args:
        model: A `MultiTaskModel`.
        objectives: Of this step.
        gradients: What the optimizer was given.
    """
    if objectives.state:
        taken = is_taken(
            model.optimizer,
            gradients,
            objectives,
            model.gradient_conflict,
            getattr(model.aggregator, "scale_free", False),
        )
        model.method_state.keep(taken, objectives.state)
