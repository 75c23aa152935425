"""What a method may look at in a step, beside the gradients."""

from typing import NamedTuple

from keras_mtl.types import Tensor


class StepInfo(NamedTuple):
    """What is known of one training step. It may grow.

    Outside of a model all of it may be `None`.

    Attributes:
        losses: Float tensor `[T]`, the losses of the tasks without
            `loss_weights`.
        present: Boolean tensor `[T]`, false for a task without labels in the
            batch or with a weight of zero; `None` where all take part.
        task_names: Names of the tasks, in the order of `loss`.
        unit: Float tensor `[...]`, what the gradients were divided by before
            inner products were taken; `None` for one. Only methods that are
            `scale_free` see another.
        tasks: Indices of the tasks that the rows of a Jacobian belong to, for
            `combine`: a variable has the tasks alone that reach it. `None`
            where the rows are all tasks in their order. `losses` and `present`
            are then those of the rows.
    """

    losses: Tensor | None = None
    present: Tensor | None = None
    task_names: tuple[str, ...] | None = None
    unit: Tensor | None = None
    tasks: tuple[int, ...] | None = None
