"""Reading the graph of a functional model: who made which symbolic tensor.

Keras keeps the graph under private names; the ones used here are in this file.
"""

import re
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.models.functional import Functional

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
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def operation_of(tensor: keras.KerasTensor) -> Any:
    """The layer or operation that made a tensor."""
    return tensor._keras_history.operation


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
    if not hasattr(tensor, "_keras_history"):
        return False
    names = {_CLONED.sub("", t.name) for t in (tensor, other)}
    return len(names) == 1 and operation_of(tensor) is operation_of(other)


def inner_output(model: keras.Model, tensor: keras.KerasTensor) -> Any:
    """The output inside of a nested model that a tensor outside is."""
    return model.outputs[tensor._keras_history.tensor_index]


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
