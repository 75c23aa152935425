"""The tensors of a model that auxiliary heads read."""

from typing import Any

import keras

from keras_mtl.utils.graph import is_same_tensor
from keras_mtl.utils.graph import nodes_before
from keras_mtl.utils.graph import operation_of


def tapped_tensor(
    argument: str, model: keras.Model, given: Any
) -> keras.KerasTensor:
    """The one tensor of a model's graph that the user means.

    Args:
        argument: Name of the argument, for error messages.
        model: Model with a graph.
        given: Name of a layer, the layer, or its output tensor.

    Raises:
        ValueError: If it is no tensor of the graph that the outputs depend
            on, if it stands for several, or if nothing before it could learn.
    """
    nodes = list(nodes_before(*model.outputs))
    if isinstance(given, str):
        found = [n for n in nodes if n.operation.name == given]
    elif isinstance(given, (keras.KerasTensor, keras.Operation)):
        found = [n for n in nodes if _is_meant(n, given)]
        if found:
            name = found[0].operation.name
            found = [n for n in nodes if n.operation.name == name]
    else:
        raise ValueError(
            f"`{argument}` must be the name of a layer, or a tensor of the "
            f"functional model. Received: {argument}={given!r}"
        )
    if not found:
        names = [n.operation.name for n in reversed(nodes)]
        is_tensor = isinstance(given, keras.KerasTensor)
        raise ValueError(
            f"`{argument}` is no layer that the outputs of the model "
            f"'{model.name}' depend on"
            f"{', and is no tensor of this model' if is_tensor else ''}. Its "
            f"layers are {names}. Received: {argument}={given!r}"
        )
    return _only_output(argument, found, given)


def _is_meant(node: Any, given: Any) -> bool:
    """Whether a use of a layer is of that layer, or makes that tensor."""
    if isinstance(given, keras.Operation):
        return node.operation is given
    return any(is_same_tensor(given, made) for made in node.output_tensors)


def check_leads_to(
    argument: str,
    tensor: keras.KerasTensor,
    task: str,
    output: keras.KerasTensor,
) -> None:
    """Raises unless the output of a task depends on the tensor."""
    operation = operation_of(tensor)
    if all(n.operation is not operation for n in nodes_before(output)):
        raise ValueError(
            f"`{argument}` '{operation.name}' is not on the way to the "
            f"output '{task}', so a head on it would not help that task. Name "
            "a layer that all tasks share, or leave the task out of `tasks`."
        )


def _only_output(
    argument: str, nodes: list[Any], given: Any
) -> keras.KerasTensor:
    operation = nodes[0].operation
    tensors = [tensor for node in nodes for tensor in node.output_tensors]
    if len(tensors) > 1:
        raise ValueError(
            f"`{argument}` must stand for one tensor, but "
            f"'{operation.name}' stands for {len(tensors)}, of {len(nodes)} "
            "calls. Put the tensor that you mean through "
            "`keras.layers.Identity(name=...)` and give that name. Received: "
            f"{argument}={given!r}"
        )
    tensor = tensors[0]
    if isinstance(operation, keras.layers.InputLayer):
        raise ValueError(
            f"`{argument}` is the input '{operation.name}': there is "
            "nothing before it that the auxiliary heads could train. Name a "
            f"layer. Received: {argument}={given!r}"
        )
    if not keras.backend.is_float_dtype(tensor.dtype):
        raise ValueError(
            f"`{argument}` must be of a floating-point type, through which "
            f"gradients flow, but '{operation.name}' gives {tensor.dtype}. "
            f"Received: {argument}={given!r}"
        )
    return tensor
