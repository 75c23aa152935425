"""Gates: how much of each expert a task takes."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_mtl.layers.parts.copies import copy_layer
from keras_mtl.layers.parts.copies import make_layers
from keras_mtl.layers.parts.sub_layers import call_layer
from keras_mtl.types import Tensor


class ExpertGate(keras.layers.Layer):
    """A gate that returns the weights of experts, not logits of them.

    Subclasses read `num_experts` in `build` and return a tensor of shape
    `(batch, ..., num_experts)`, of weights from zero up whose sum is one.
    """

    num_experts: int | None = None

    def set_num_experts(self, num_experts: int) -> None:
        """Called by the layer that has the experts, before it builds this."""
        if self.num_experts not in (None, num_experts):
            raise ValueError(
                f"The gate '{self.name}' has to choose among {num_experts} "
                f"experts. Received: num_experts={self.num_experts}"
            )
        self.num_experts = num_experts


def make_gates(
    gate: Any, num_experts: Mapping[str, int], dtype: Any, start: int = 0
) -> list[keras.layers.Layer]:
    """One gate for each that mixes experts.

    Args:
        gate: `None` for a linear map without bias; a layer or model, to be
            copied; a function from the number of experts to one; or a list.
        num_experts: By the name of what mixes them.
        dtype: Policy of the linear maps.
        start: How many gates this was copied for already: a seed is another
            one in every copy.
    """
    names = [f"{name}_gate" for name in num_experts]
    sizes = list(num_experts.values())
    if not isinstance(gate, (list, tuple)):
        gate = [
            _make_gate(gate, name, size, dtype, start + index)
            for index, (name, size) in enumerate(zip(names, sizes, strict=True))
        ]
    gates = make_layers("gate", gate, names)
    for layer, size in zip(gates, sizes, strict=True):
        if isinstance(layer, ExpertGate):
            layer.set_num_experts(size)
    return gates


def gate_weights(
    gate: keras.layers.Layer, inputs: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Weights `[batch, ..., experts]`, at least in float32."""
    outputs = call_layer(gate, inputs, mask)
    dtype = keras.backend.result_type(outputs.dtype, "float32")
    outputs = ops.cast(outputs, dtype)
    return outputs if isinstance(gate, ExpertGate) else softmax(outputs)


def softmax(logits: Tensor) -> Tensor:
    """Over the last axis, which may have one value only."""
    if logits.shape[-1] == 1:
        # Keras warns of a softmax of one value. This is one too, and leads to
        # the logits, if with a gradient of zero.
        return ops.exp(logits - logits)
    return ops.softmax(logits)


def mean_over_positions(inputs: Tensor, mask: Tensor | None) -> Tensor:
    """Means over the axes between batch and features: `[batch, features]`.

    Masked positions do not count; where all are masked, the mean is zero.
    """
    if len(inputs.shape) == 2:
        return inputs
    if mask is None:
        return ops.mean(inputs, axis=tuple(range(1, len(inputs.shape) - 1)))
    # A mask of steps says nothing of further axes, such as those of frames.
    rank = len(mask.shape)
    axes = tuple(range(rank, len(inputs.shape) - 1))
    x = ops.mean(inputs, axis=axes) if axes else inputs
    # Half precision cannot count many positions, nor add them up.
    x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    mask = ops.expand_dims(ops.cast(mask, x.dtype), -1)
    axes = tuple(range(1, rank))
    count = ops.maximum(ops.sum(mask, axis=axes), 1.0)
    return ops.cast(ops.sum(x * mask, axis=axes) / count, inputs.dtype)


def _make_gate(
    gate: Any, name: str, num_experts: int, dtype: Any, index: int
) -> keras.layers.Layer:
    if gate is None:
        gate = keras.layers.Dense(num_experts, use_bias=False, dtype=dtype)
    if isinstance(gate, keras.layers.Layer):
        return copy_layer("gate", gate, name, index)
    if callable(gate) and not isinstance(gate, type):
        _check_factory(gate, num_experts)
        return make_layers("gate", lambda: gate(num_experts), [name])[0]
    raise ValueError(
        "`gate` should be None, a Keras layer or model, a function from the "
        f"number of experts to one, or a list of layers. Received: {gate!r}"
    )


def _check_factory(gate: Any, num_experts: int) -> None:
    try:
        inspect.signature(gate).bind(num_experts)
    except TypeError as error:
        raise ValueError(
            "A function given as `gate` should take the number of experts, "
            "such as `lambda n: keras.layers.Dense(n)`. Received: "
            f"gate={gate!r}"
        ) from error
    except ValueError:
        # Some functions do not tell what they take.
        return
