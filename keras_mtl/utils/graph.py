"""Reading the graph of a functional model: who made which symbolic tensor."""

import re
from collections.abc import Iterator
from typing import Any

import keras

from keras_mtl.utils.did_you_mean import did_you_mean
from keras_mtl.utils.keras_internals import Functional
from keras_mtl.utils.keras_internals import history_of
from keras_mtl.utils.keras_internals import layers_within
from keras_mtl.utils.keras_internals import uses_of

_CLONED = re.compile("(_clone)+$")

# What Keras calls one use of a layer: operation, input and output tensors.
Node = Any


def has_graph(model: Any) -> bool:
    """Whether outputs are a known function of inputs, layer by layer."""
    if isinstance(model, keras.Sequential):
        return bool(model.built and model.outputs)
    # A `call` of one's own may do something else than the graph says.
    return isinstance(model, Functional) and type(model).call is Functional.call


def symbolic_inputs(model: keras.Model) -> Any:
    """The inputs of a model in their structure."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0]
    return model.input


def symbolic_outputs(model: keras.Model) -> Any:
    """The outputs of a model in their structure."""
    if isinstance(model, keras.Sequential):
        return model.outputs[0]
    return model.output


def named_outputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """The outputs by name, as Keras names their losses and logs.

    Raises:
        ValueError: If two outputs have one name.
    """
    outputs: dict[str, keras.KerasTensor] = {}
    paths = keras.tree.flatten_with_path(symbolic_outputs(model))
    for path, tensor in paths:
        if not path or isinstance(path[-1], int):
            path = (*path[:-1], operation_of(tensor).name)
        name = "/".join(str(part) for part in path)
        if name in outputs:
            raise ValueError(
                f"Two outputs of the model '{model.name}' are called "
                f"'{name}', so their tasks cannot be told apart. Make the "
                "outputs a dictionary with a name for each."
            )
        outputs[name] = tensor
    return outputs


def node_of(tensor: keras.KerasTensor) -> Node:
    """The use of a layer that made a tensor."""
    history = history_of(tensor)
    return uses_of(history.operation)[history.node_index]


def operation_of(tensor: keras.KerasTensor) -> Any:
    """The layer or operation that made a tensor."""
    return history_of(tensor).operation


def is_tensor_of(model: keras.Model, tensor: keras.KerasTensor) -> bool:
    """Whether a tensor is one that a model with a graph computes."""
    return any(
        is_same_tensor(tensor, other)
        for node in nodes_before(*model.outputs)
        for other in node.output_tensors
    )


def is_same_tensor(tensor: keras.KerasTensor, other: keras.KerasTensor) -> bool:
    """Whether two are one, or one is Keras' copy of the other.

    It copies the graph of a model that begins at tensors which are no inputs,
    and calls the copy of "x" "x_clone".
    """
    if tensor is other:
        return True
    if history_of(tensor) is None:
        return False
    names = {_CLONED.sub("", t.name) for t in (tensor, other)}
    return len(names) == 1 and operation_of(tensor) is operation_of(other)


def inner_output(model: keras.Model, tensor: keras.KerasTensor) -> Any:
    """The output inside of a nested model that a tensor outside is."""
    return model.outputs[history_of(tensor).tensor_index]


def nodes_before(*outputs: keras.KerasTensor) -> Iterator[Node]:
    """Each use of a layer that outputs depend on, nested models included.

    What is in a nested model comes once for each time that the model is used.
    """
    seen = set()
    waiting = list(outputs)
    while waiting:
        node = node_of(waiting.pop())
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting.extend(node.input_tensors)
        yield node
        if has_graph(node.operation):
            yield from nodes_before(*node.operation.outputs)


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
    layers = layers_within(model)
    return found + [layer for layer in layers if id(layer) not in known]


def _check_is_part(
    model: Any, candidates: list[Any], given: Any, argument: str
) -> None:
    """Raises if a layer or a tensor is that of another model.

    One of the same name may be in this model.
    """
    kind, operation = "layer", given
    if isinstance(given, keras.KerasTensor):
        history = history_of(given)
        operation = None if history is None else history.operation
        kind = "tensor"
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
