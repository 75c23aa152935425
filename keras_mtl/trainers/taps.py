"""Reading, and cutting, what layers return during a forward pass."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras

from keras_mtl.trainers.settings import settings_of
from keras_mtl.types import Tensor
from keras_mtl.utils.graph import find_operation
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


class Taps:
    """What was tapped in one forward pass of a model.

    Attributes:
        representation: The `Tap` of the representation, or `None`.
        auxiliaries: Those of what auxiliaries read, in their structure.
    """

    def __init__(self, representation: Tap | None, auxiliaries: Any):
        self.representation = representation
        self.auxiliaries = auxiliaries

    @property
    def sources(self) -> list[Tensor]:
        """What was cut, as it was computed."""
        cut = self.representation
        return [] if cut is None else keras.tree.flatten(cut.source)


@contextlib.contextmanager
def open_taps(
    model: Any, cut: Callable[[Tensor], Tensor] | None = None
) -> Iterator[Taps]:
    """Taps the representation of a `MultiTaskModel`, and what auxiliaries read.

    Args:
        model: The model, called once in the context.
        cut: What to make of each tensor of the representation; `None` to leave
            it alone.
    """
    operation = settings_of(model).representation if cut else None
    with contextlib.ExitStack() as stack:
        representation = None
        if operation is not None:
            representation = stack.enter_context(
                tap(operation, lambda z: keras.tree.map_structure(cut, z))
            )

        def open_tap(name: str) -> Tap:
            found = find_operation(model, name)
            if representation is not None and found is operation:
                return representation
            return stack.enter_context(tap(found))

        auxiliaries = None
        if model.auxiliaries is not None:
            read = model.auxiliaries.representation
            auxiliaries = keras.tree.map_structure(open_tap, read)
        yield Taps(representation, auxiliaries)


def predict_auxiliaries(model: Any, taps: Taps) -> dict[str, Tensor]:
    """What the auxiliaries predict from what was tapped, by output."""
    if model.auxiliaries is None:
        return {}
    features = keras.tree.map_structure(lambda t: t.outlet, taps.auxiliaries)
    return model.auxiliaries(features, training=True)


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
    # A backend may have put a method of its own there, for embedding tables.
    before = vars(operation).get(name)
    object.__setattr__(operation, name, call)
    try:
        yield result
    finally:
        if before is None:
            object.__delattr__(operation, name)
        else:
            object.__setattr__(operation, name, before)
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
