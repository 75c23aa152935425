"""From one evaluation of a batch to the scalars that gradients are taken of."""

from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from keras import ops

from keras_mtl.methods.step_info import StepInfo
from keras_mtl.trainers.task_losses import TaskRecord
from keras_mtl.types import Tensor


class Objectives(NamedTuple):
    """The scalars of one step.

    Attributes:
        tasks: One scalar a task: weighted, and multiplied by the loss scale.
        rest: What belongs to no task (regularisers, `add_loss`), scaled
            alike; `None` where there is nothing.
        losses: Task losses `[T]` as they were, for methods that look at them.
        seen: `losses` times the loss weights, NaN for tasks that are not
            present: what a weighting may learn from.
        present: boolean `[T]`, false for a task with no label in the batch, or
            with a weight of zero; `None` where all take part always.
        scale: The loss scale.
        state: What the methods remembered before the step, value by value.
    """

    tasks: list[Tensor]
    rest: Tensor | None
    losses: Tensor
    seen: Tensor
    present: Tensor | None = None
    scale: Tensor | float = 1.0
    state: Sequence[Tensor] = ()


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
    labelled = [record.labelled.get(t) for t in range(len(losses))]
    for t, auxiliary_loss in sorted(record.auxiliary_losses.items()):
        if auxiliaries.as_tasks:
            losses.append(auxiliary_loss)
            weights.append(task_weights[t] * auxiliaries.weight)
            labelled.append(labelled[t])
        else:
            losses[t] = losses[t] + auxiliaries.weight * auxiliary_loss
    losses = [ops.cast(loss, "float32") for loss in losses]
    weighted = [
        weight * loss for weight, loss in zip(weights, losses, strict=True)
    ]
    present = _present(weights, labelled)
    tasks, factors = weighted, None
    if weighting is not None:
        tasks, factors = _apply_weighting(weighting, weighted, present)
    seen = ops.stack(weighted)
    if present is not None:
        # No label, no lesson: not even for the terms of a weighting.
        tasks = [
            ops.where(present[t], task, 0.0) for t, task in enumerate(tasks)
        ]
        seen = ops.where(present, seen, float("nan"))
    if factors is not None:
        # A weight of zero keeps a task out of the step, as a loss weight does.
        counts = ops.not_equal(factors, 0)
        present = (
            counts if present is None else ops.logical_and(present, counts)
        )
    scale = 1.0
    if optimizer is not None:
        # The public way to read the factor, which changes as training goes.
        scale = optimizer.scale_loss(1.0)
        tasks = [optimizer.scale_loss(task) for task in tasks]
        rest = None if rest is None else optimizer.scale_loss(rest)
    return Objectives(tasks, rest, ops.stack(losses), seen, present, scale)


def _present(weights: list[float], labelled: list[Tensor | None]) -> Any:
    """Which tasks take part in this step; `None` where all always do."""
    if all(weights) and all(count is None for count in labelled):
        return None
    flags = [
        bool(weight)
        if count is None
        else ops.logical_and(bool(weight), count > 0)
        for weight, count in zip(weights, labelled, strict=True)
    ]
    return ops.stack([ops.cast(flag, "bool") for flag in flags])


def _apply_weighting(
    weighting: Any, losses: list[Tensor], present: Tensor | None
) -> tuple[list[Tensor], Tensor | None]:
    """Weighted losses as scalars with no path from one task to another.

    One vector of losses would connect every task to the variables of all. So
    weights are made of constants, and lead to what the weighting trains alone.

    Returns:
        The losses, and the weights `[T]` where a zero may be among them: what
        is trained keeps a task in the step however small its weight.
    """
    constants = ops.stack([ops.stop_gradient(loss) for loss in losses])
    step = StepInfo(constants, present, weighting.task_names)
    weights = weighting.weigh(constants, step)
    if not weighting.is_trained:
        weights = ops.stop_gradient(weights)
    penalties = weighting.penalties()
    weighted = [weights[t] * loss for t, loss in enumerate(losses)]
    if not isinstance(penalties, int | float) or penalties:
        penalties = ops.broadcast_to(penalties, (len(losses),))
        weighted = [loss + penalties[t] for t, loss in enumerate(weighted)]
    return weighted, None if weighting.is_trained else weights
