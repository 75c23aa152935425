"""What a layer does with other layers that it owns."""

import inspect
from typing import Any

import keras

Tensor = Any
Shape = tuple[int | None, ...]


def build_layer(layer: keras.layers.Layer, shape: Shape) -> None:
    """Makes the weights of a layer that is not built yet.

    It is called, because layers without a `build` make them in their `call`.
    """
    if not layer.built:
        layer(_symbolic(layer, shape))


def output_shape(layer: keras.layers.Layer, shape: Shape) -> Shape:
    """The shape that a layer makes of one, also if it has no method for it."""
    return tuple(layer.compute_output_spec(_symbolic(layer, shape)).shape)


def takes_mask(layer: keras.layers.Layer) -> bool:
    return "mask" in inspect.signature(layer.call).parameters


def call_layer(layer: keras.layers.Layer, x: Tensor, mask: Any) -> Tensor:
    """The output of a layer, which gets the mask if there is one for it."""
    if mask is not None and takes_mask(layer):
        return layer(x, mask=mask)
    return layer(x)


def _symbolic(layer: keras.layers.Layer, shape: Shape) -> keras.KerasTensor:
    return keras.KerasTensor(shape, dtype=layer.compute_dtype)
