"""What the methods that remember the gradients of all tasks share."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_mtl.aggregators.aggregator import Column
from keras_mtl.solvers.matrices import Tensor


def make_state(
    name: str, shape: Sequence[int], value: float = 0.0
) -> keras.Variable:
    """A variable that is not trained, float32, the same number everywhere."""
    return keras.Variable(
        np.full(tuple(shape), value, "float32"),
        trainable=False,
        dtype="float32",
        name=name,
    )


def make_slots(
    name: str, shapes: Sequence[tuple[int, ...]], num_tasks: int
) -> list[keras.Variable]:
    """Zeros `[T, *shape]` for each variable of the model: a row a task."""
    return [
        make_state(f"{name}_{index}", (num_tasks, *shape))
        for index, shape in enumerate(shapes)
    ]


def taking_part(present: Tensor | None, num_tasks: int) -> Tensor:
    """Booleans `[T]`, true where `present` is None."""
    if present is None:
        return ops.ones((num_tasks,), dtype="bool")
    return ops.cast(present, "bool")


def learning_tasks(columns: Sequence[Column], present: Tensor | None) -> Tensor:
    """Booleans `[T]`: the tasks whose memory a step may change.

    If any entry of what is to be remembered is not finite, it is none. The
    trainer undoes steps whose losses or gradients are not finite; this is for
    memory that overflows though they are, as squares do.

    Args:
        columns: For each variable its T task gradients.
        present: Booleans `[T]`, or None if all tasks are.
    """
    given = [g for column in columns for g in column if g is not None]
    present = taking_part(present, len(columns[0]))
    if not given:
        return ops.zeros_like(present)
    finite = ops.stack([ops.all(ops.isfinite(g)) for g in given])
    return ops.logical_and(present, ops.all(finite))


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


def store_finite(variable: keras.Variable, value: Tensor, gram: Tensor) -> None:
    """Changes state that belongs to Gram matrices, if all of it is finite."""
    finite = ops.logical_and(
        ops.all(ops.isfinite(gram)), ops.all(ops.isfinite(value))
    )
    value = ops.cast(value, variable.dtype)
    held = ops.convert_to_tensor(variable)
    variable.assign(ops.where(finite, value, held))


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
