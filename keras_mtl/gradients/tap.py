"""Reading the output of one layer during a forward pass."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras

from keras_mtl.did_you_mean import did_you_mean
from keras_mtl.keras_internals import in_symbolic_scope
from keras_mtl.symbolic_graph import has_graph
from keras_mtl.symbolic_graph import is_tensor_of
from keras_mtl.symbolic_graph import operation_of


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


def find_operation(
    model: Any, given: Any, argument: str = "representation"
) -> Any:
    """The layer or operation of a model that the user means.

    Args:
        model: A functional or subclassed Keras model.
        given: Name of a layer, a layer, or a symbolic tensor of the model.
        argument: Name of the argument, for error messages.

    Raises:
        ValueError: If the model has none, or several by that name.
    """
    candidates = _operations(model)
    names = sorted({op.name for op in candidates})
    name = given
    if isinstance(given, (keras.KerasTensor, keras.Operation)):
        _check_is_part(model, candidates, given, argument)
        is_tensor = isinstance(given, keras.KerasTensor)
        name = operation_of(given).name if is_tensor else given.name
    if not isinstance(name, str):
        raise ValueError(
            f"`{argument}` should be the name of a layer, or a tensor of the "
            f"functional model. Received: {argument}={given}"
        )
    # Also of what is given itself: files keep the name and nothing else.
    found = [op for op in candidates if op.name == name]
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"`{argument}` should name one layer of the model, but "
        f"{len(found) or 'none'} of its layers "
        f"{'are' if len(found) > 1 else 'is'} called '{name}'. "
        f"{'' if found else did_you_mean(name, names)}"
        f"Layers: {names}"
    )


def _operations(model: Any) -> list[Any]:
    """Operations of a graph, and layers at every depth."""
    found = list(getattr(model, "operations", None) or [])
    known = {id(operation) for operation in found}
    layers = model._flatten_layers(include_self=False)
    return found + [layer for layer in layers if id(layer) not in known]


def _check_is_part(
    model: Any, candidates: list[Any], given: Any, argument: str
) -> None:
    """Raises if a layer or a tensor is that of another model.

    One of the same name may be in this model.
    """
    kind, operation = "layer", given
    if isinstance(given, keras.KerasTensor):
        history = getattr(given, "_keras_history", (None,))
        kind, operation = "tensor", history[0]
    if kind == "tensor" and has_graph(model):
        is_part = is_tensor_of(model, given)
    else:
        is_part = any(operation is other for other in candidates)
    if not is_part:
        raise ValueError(
            f"`{argument}` is no {kind} of this model, '{model.name}'. Name "
            "one of its layers, or give a layer or a tensor that is in it. "
            f"Layers: {sorted({op.name for op in candidates})}. Received: "
            f"{argument}={given}"
        )
