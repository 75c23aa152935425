"""What the methods that remember the gradients of all tasks share."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
from keras import ops

from keras_mtl.types import Column
from keras_mtl.types import Tensor


def taking_part(present: Tensor | None, num_tasks: int) -> Tensor:
    """Booleans `[T]`, true where `present` is None."""
    if present is None:
        return ops.ones((num_tasks,), dtype="bool")
    return ops.cast(present, "bool")


def held_rows(slot: keras.Variable, column: Column) -> list[Tensor | None]:
    """The rows of a slot; None where the task does not reach the variable."""
    held = ops.convert_to_tensor(slot)
    return [None if g is None else held[t] for t, g in enumerate(column)]


def store_rows(slot: keras.Variable, column: Column, learning: Tensor) -> None:
    """Puts the rows of the tasks that learn in their places.

    Args:
        slot: Variable `[T, *shape]`.
        column: T rows; None leaves its place alone.
        learning: Booleans `[T]`.
    """
    if all(row is None for row in column):
        return
    held = ops.convert_to_tensor(slot)
    rows = [held[t] if row is None else row for t, row in enumerate(column)]
    learning = ops.reshape(learning, (-1,) + (1,) * (len(slot.shape) - 1))
    slot.assign(ops.where(learning, ops.stack(rows), held))


def move_averages(
    averages: Sequence[keras.Variable],
    gradients: Sequence[Column],
    mix: Callable[[int, Tensor, Tensor], Tensor],
    learning: Tensor,
) -> list[Column]:
    """Moves averages of task gradients, and puts them in the gradients' place.

    Args:
        averages: For each variable its averages `[T, *shape]`.
        gradients: For each variable its T task gradients, or `None`.
        mix: Makes the new average of a task from its index, its old average
            and its gradient.
        learning: Booleans `[T]`; the averages of other tasks stay, and are
            passed on as they would have moved.

    Returns:
        For each variable the T averages after they have moved.
    """
    moved = []
    for slot, column in zip(averages, gradients, strict=True):
        held = held_rows(slot, column)
        rows = [
            None if g is None else mix(t, held[t], ops.cast(g, slot.dtype))
            for t, g in enumerate(column)
        ]
        store_rows(slot, rows, learning)
        moved.append(rows)
    return moved


def share_of(learning: Tensor, held: Tensor) -> Tensor:
    """What of a sum of one is not held by tasks that do not learn, `[..., 1]`.

    Taken from one, so that rounding does not add up from step to step.
    """
    rest = ops.where(learning, 0.0, held)
    return ops.maximum(1.0 - ops.sum(rest, axis=-1, keepdims=True), 0.0)


def nan_like(weights: Tensor, gram: Tensor) -> Tensor:
    """The weights, NaN for matrices that are not finite: overflow shows."""
    finite = ops.all(ops.isfinite(gram), axis=(-2, -1))
    return ops.where(finite[..., None], weights, float("nan"))
