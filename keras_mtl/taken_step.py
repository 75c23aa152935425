"""Whether a training step changes the model, or is skipped."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.gradient_conflict import GradientConflict
from keras_mtl.objectives import Objectives
from keras_mtl.replicas import on_all_replicas

Tensor = Any


def is_taken(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Tensor | None],
    objectives: Objectives,
    conflict: GradientConflict | None,
) -> Tensor:
    """Boolean scalar: whether methods may learn from a step.

    A loss scaler takes the step if all gradients that it is given are finite,
    and the methods do as it does. Without one the optimizer takes every step.
    Then methods learn from those whose losses and inner products are finite,
    which costs no look at the gradients themselves.

    Args:
        optimizer: The model's.
        gradients: What the optimizer was given.
        objectives: Of this step.
        conflict: The metric that saw the inner products of this step, if there
            is an aggregator.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return on_all_replicas(optimizer.check_finite(gradients))
    finite = ops.isfinite(objectives.losses)
    if objectives.present is not None:
        # A task without labels has no loss, which is no mistake.
        finite = ops.logical_or(finite, ops.logical_not(objectives.present))
    finite = ops.all(finite)
    if conflict is not None:
        gram = ops.convert_to_tensor(conflict.gram)
        finite = ops.logical_and(finite, ops.all(ops.isfinite(gram)))
    return on_all_replicas(finite)
