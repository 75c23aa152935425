"""Which activation makes an output what it is."""

from collections.abc import Callable
from typing import Any

import keras

from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.graph import inner_output
from keras_mtl.utils.graph import node_of
from keras_mtl.utils.graph import operation_of

# They move values or drop some of them: probabilities stay probabilities.
_KIND_KEEPING_LAYERS = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.Identity,
    keras.layers.Permute,
    keras.layers.Reshape,
)
# By name, because Keras does not export the classes of its operations.
_KIND_KEEPING_OPERATIONS = ("Cast", "ExpandDims", "Reshape", "Squeeze")
_ACTIVATION_OPERATIONS = {
    "Exp": "exponential",
    "LogSoftmax": "log_softmax",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Softplus": "softplus",
    "Tanh": "tanh",
}


def output_activation(output: keras.KerasTensor) -> Callable | None:
    """The last activation before an output, or `None` if it cannot be told.

    Args:
        output: Output of a functional model.

    Returns:
        The activation function; `keras.activations.linear` where there is
        none. `None` where the output comes from a layer that may do anything.

    Example:

    ```python
    inputs = keras.Input((8,))
    output = keras.layers.Dense(3, activation="softmax")(inputs)
    output_activation(output)  # keras.activations.softmax
    ```
    """
    operation = operation_of(output)
    if has_graph(operation):
        return output_activation(inner_output(operation, output))
    if _keeps_the_kind(operation):
        return output_activation(node_of(output).input_tensors[0])
    if isinstance(operation, keras.layers.TimeDistributed):
        operation = operation.layer
        if has_graph(operation):
            return output_activation(operation.outputs[0])
    name = _activation_name(operation, rank=len(output.shape))
    if name is not None:
        return keras.activations.get(name)
    # What recurrent layers call their activation is not their last step.
    if isinstance(operation, keras.layers.RNN):
        return None
    return getattr(operation, "activation", None)


def _keeps_the_kind(operation: Any) -> bool:
    if isinstance(operation, keras.layers.Activation):
        return operation.activation is keras.activations.linear
    if isinstance(operation, keras.layers.Layer):
        return isinstance(operation, _KIND_KEEPING_LAYERS)
    return type(operation).__name__ in _KIND_KEEPING_OPERATIONS


def _activation_name(operation: Any, rank: int) -> str | None:
    """The activation that an operation is, over the last axis."""
    if getattr(operation, "axis", -1) not in (-1, rank - 1):
        return None
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    if isinstance(operation, keras.layers.Layer):
        return None
    return _ACTIVATION_OPERATIONS.get(type(operation).__name__)
