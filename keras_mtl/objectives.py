"""From one evaluation of a batch to the scalars that gradients are taken of."""

from typing import Any
from typing import NamedTuple

from keras import ops

from keras_mtl.task_losses import TaskRecord

Tensor = Any


class Objectives(NamedTuple):
    """The scalars of one step.

    Attributes:
        tasks: One scalar a task: weighted, and multiplied by the loss scale.
        rest: What belongs to no task (regularisers, `add_loss`), scaled
            alike; `None` where there is nothing.
        losses: Task losses `[T]` as they were, for methods that look at them.
        weighted: `losses` times the loss weights, for the weighting's state.
        scale: The loss scale.
    """

    tasks: list[Tensor]
    rest: Tensor | None
    losses: Tensor
    weighted: Tensor
    scale: Tensor | float


def make_objectives(
    record: TaskRecord,
    rest: Tensor | None,
    *,
    task_weights: list[float],
    auxiliaries: Any,
    weighting: Any,
    optimizer: Any,
) -> Objectives:
    """Applies auxiliaries, loss weights, the weighting and the loss scale.

    Args:
        record: What the evaluation of the losses left.
        rest: Loss that belongs to no task, or `None`.
        task_weights: Loss weights.
        auxiliaries: The model's `SelfAuxiliaries`, or `None`.
        weighting: The `Weighting`, or `None`.
        optimizer: The optimizer, which knows the loss scale.
    """
    losses = [record.losses[t] for t in range(len(task_weights))]
    weights = list(task_weights)
    for t, auxiliary_loss in sorted(record.auxiliary_losses.items()):
        if auxiliaries.as_tasks:
            losses.append(auxiliary_loss)
            weights.append(task_weights[t] * auxiliaries.weight)
        else:
            losses[t] = losses[t] + auxiliaries.weight * auxiliary_loss
    losses = [ops.cast(loss, "float32") for loss in losses]
    weighted = [weight * loss for weight, loss in zip(weights, losses)]
    tasks = _apply_weighting(weighting, weighted) if weighting else weighted
    scale = 1.0
    if optimizer is not None:
        # The public way to read the factor, which changes as training goes.
        scale = optimizer.scale_loss(1.0)
        tasks = [optimizer.scale_loss(task) for task in tasks]
        rest = None if rest is None else optimizer.scale_loss(rest)
    return Objectives(
        tasks, rest, ops.stack(losses), ops.stack(weighted), scale
    )


def _apply_weighting(weighting: Any, losses: list[Tensor]) -> list[Tensor]:
    """Weighted losses as scalars with no path from one task to another.

    One vector of losses would connect every task to the variables of all.
    """
    constants = [ops.stop_gradient(loss) for loss in losses]
    weighted = []
    for t, loss in enumerate(losses):
        others = constants[:t] + [loss] + constants[t + 1 :]
        weighted.append(weighting.weighted_losses(ops.stack(others))[t])
    return weighted
