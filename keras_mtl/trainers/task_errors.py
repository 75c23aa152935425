"""Errors in the loss of one of several tasks, which say of which."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def naming_task(
    task: str,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    as_stock: bool = False,
) -> Iterator[None]:
    """Puts the task and the shapes before what is said of an error.

    What Keras or the backend says stays in the message. What a loss of the
    user's raises for reasons of its own passes: it has a type of its own.

    Args:
        task: Name of the task.
        y_true, y_pred, sample_weight: What its loss is called with.
        as_stock: Whether the type of the error must be that of stock Keras.
    """
    try:
        yield
    except Exception as error:
        kind = _kind(error, as_stock)
        if kind is None or f"'{task}'" in str(error):
            raise
        message = (
            f"The loss of task '{task}' cannot be computed of "
            f"{_shapes('labels', y_true)}, {_shapes('predictions', y_pred)}"
            f" and {_shapes('sample weights', sample_weight)}: {error}"
        )
        raise kind(message) from error


def _kind(error: Exception, as_stock: bool) -> type[Exception] | None:
    """Which error to raise in its place, if any."""
    if type(error) in (TypeError, ValueError):
        return type(error)
    # TensorFlow's own needs more than a message to be made. PyTorch's says
    # nothing of its kind, and stock Keras lets it pass.
    name = type(error).__name__
    on_torch = keras.backend.backend() == "torch"
    is_of_shapes = name == "InvalidArgumentError" or (
        on_torch and type(error) is RuntimeError
    )
    return ValueError if is_of_shapes and not as_stock else None


def _shapes(what: str, tensors: Any) -> str:
    if tensors is None:
        return f"no {what}"
    shapes = keras.tree.map_structure(_shape, tensors)
    return f"{what} of shape {shapes}"


def _shape(tensor: Any) -> str:
    return str(tuple(getattr(tensor, "shape", ())))
