"""Weights of which each column belongs to one column of an output."""

from typing import Any

import keras

from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.graph import inner_output
from keras_mtl.utils.graph import named_outputs
from keras_mtl.utils.graph import node_of
from keras_mtl.utils.graph import nodes_before
from keras_mtl.utils.graph import operation_of
from keras_mtl.utils.keras_internals import uses_of

# They treat every entry by itself.
ACTIVATIONS = (
    "celu elu exponential gelu hard_sigmoid hard_tanh leaky_relu linear "
    "log_sigmoid mish relu relu6 selu sigmoid silu softplus softsign tanh"
).split()
LAYERS = (
    keras.layers.ActivityRegularization,
    keras.layers.Dropout,
    keras.layers.Identity,
)
OPERATIONS = ("Cast", "Relu", "Sigmoid", "Softplus", "Tanh")
LINEAR_LAYERS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
)


def column_heads(
    model: keras.Model, output: str, num_columns: int
) -> list[keras.Variable]:
    """Kernel and bias of the layer that makes an output, if they split.

    Where the columns of an output are tasks, these weights are a head of each,
    side by side, and no two tasks share any of their entries.

    Args:
        model: The model.
        output: Name of an output whose columns are tasks.
        num_columns: How many there are.

    Returns:
        Nothing where columns depend on each other's weights (as with a
        softmax), where something else depends on them, or where the model has
        no graph in which to look.
    """
    if not has_graph(model):
        return []
    try:
        outputs = named_outputs(model)
    except ValueError:
        return []
    if output not in outputs:
        return []
    layer = _last_layer(outputs.pop(output))
    is_linear = isinstance(layer, LINEAR_LAYERS) and _is_elementwise(layer)
    if not is_linear or len(uses_of(layer)) != 1:
        return []
    others = [n.operation for n in nodes_before(*outputs.values())]
    if any(operation is layer for operation in others):
        return []
    weights = [v for v in layer.weights if v.name in ("kernel", "bias")]
    return [v for v in weights if v.shape[-1] == num_columns]


def _last_layer(output: keras.KerasTensor) -> Any:
    """The operation before those that treat every entry by itself."""
    operation = operation_of(output)
    if has_graph(operation):
        return _last_layer(inner_output(operation, output))
    passes = isinstance(operation, LAYERS)
    if isinstance(operation, keras.layers.Activation):
        passes = _is_elementwise(operation)
    if passes or type(operation).__name__ in OPERATIONS:
        return _last_layer(node_of(output).input_tensors[0])
    return operation


def _is_elementwise(layer: keras.layers.Layer) -> bool:
    activation = layer.activation
    return getattr(activation, "__name__", None) in ACTIVATIONS
