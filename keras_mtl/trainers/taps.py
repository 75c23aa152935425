"""Reading the output of one layer during a forward pass."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from keras_mtl.utils.keras_internals import in_symbolic_scope


class Tap:
    """What flowed through a tapped operation.

    Attributes:
        source: The output as the operation computed it.
        outlet: The output as the rest of the model received it.
    """

    def __init__(self, name: str):
        self.name = name
        self.source: Any = None
        self.outlet: Any = None


@contextlib.contextmanager
def tap(
    operation: Any, replace: Callable[[Any], Any] | None = None
) -> Iterator[Tap]:
    """Records an operation's output, and may replace it, within the context.

    Args:
        operation: A Keras layer or operation, called once in the context.
        replace: Maps the output to what the rest of the model shall receive.

    Raises:
        ValueError: If the operation is called twice (then there is no one
            representation), or not at all.
    """
    result = Tap(operation.name)
    name = _method_called(operation)
    original = getattr(operation, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        outputs = original(*args, **kwargs)
        if in_symbolic_scope():
            # A model that is not built yet runs once more, for the shapes.
            return outputs
        if result.source is not None:
            raise ValueError(
                f"The representation '{operation.name}' is computed more than "
                "once in a forward pass, so it is not one tensor. Name a layer "
                "that the model calls once."
            )
        result.source = outputs
        result.outlet = replace(outputs) if replace else outputs
        return result.outlet

    # Around Keras' attribute tracking, which would take note of a new method.
    object.__setattr__(operation, name, call)
    try:
        yield result
    finally:
        object.__delattr__(operation, name)
    if result.source is None:
        raise ValueError(
            f"The representation '{operation.name}' is not computed in the "
            "forward pass of the model. Name a layer that the model calls."
        )


def _method_called(operation: Any) -> str:
    """The method that Keras calls to compute the operation's output."""
    if getattr(operation, "quantization_mode", None) is None:
        return "call"
    return "quantized_call"
