"""What a layer does with other layers that it owns."""

import inspect
from types import SimpleNamespace
from typing import Any

import keras

from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import layers_within

# Arguments of dense layers that change once they are there, by `quantize` and
# `enable_lora`.
CHANGEABLE = ("dtype", "quantization_config", "lora_rank", "lora_alpha")


class LateSubLayers(keras.layers.Layer):
    """Base of layers that make sub-layers in `build`.

    Such sub-layers have no configuration in that of their owner. So the owner
    writes down which of them are frozen, and which dense ones were quantized or
    have LoRA weights, and does the same to those that are made anew: a file, a
    clone and `from_config` give the variables that were there before, as many
    of them trainable, and the optimizer's state fits.

    `build` of a subclass makes its dense layers with `self.make_dense`, and
    ends with `self.freeze_sub_layers()`.

    Args:
        **kwargs: Base layer keyword arguments.
    """

    # Places in `_all_sub_layers` that are to be frozen in `build`.
    _frozen: tuple[int, ...] = ()

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        # By name: the dense layers, and what is changed in those to be made.
        # In a namespace, because Keras would track what a dict holds.
        self._late = SimpleNamespace(dense={}, changes={})

    @property
    def trainable(self) -> bool:
        return keras.layers.Layer.trainable.fget(self)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        # As of layers that are there: it holds for all of them.
        self._frozen = ()
        keras.layers.Layer.trainable.fset(self, value)

    def make_dense(
        self, units: int, name: str, **kwargs: Any
    ) -> keras.layers.Dense:
        """A dense layer, quantized if it was when the configuration was made.

        Args:
            units: Number of its outputs.
            name: Its name, which no other one of this owner has.
            **kwargs: More arguments of `keras.layers.Dense`.
        """
        changes = {
            key: keras.saving.deserialize_keras_object(value)
            for key, value in self._late.changes.get(name, {}).items()
        }
        arguments = {"dtype": self.dtype_policy, **kwargs, **changes}
        layer = keras.layers.Dense(units, name=name, **arguments)
        self._late.dense[name] = layer
        return layer

    def freeze_sub_layers(self) -> None:
        """Freezes those that were frozen when the configuration was made."""
        if not self.trainable:
            # Keras told those only that were there at the time.
            for layer in self._all_sub_layers():
                layer.trainable = False
        if not self._frozen:
            return
        for place, layer in enumerate(self._all_sub_layers()):
            trainable = place not in self._frozen
            if layer.trainable != trainable:
                layer.trainable = trainable

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        frozen = self._frozen
        if self.built:
            frozen = [
                place
                for place, layer in enumerate(self._all_sub_layers())
                if not layer.trainable
            ]
        if frozen:
            config["frozen"] = list(frozen)
        changes = self._changes()
        if changes:
            config["changed_dense"] = changes
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LateSubLayers":
        config = dict(config)
        frozen = config.pop("frozen", ())
        changes = config.pop("changed_dense", {})
        layer = super().from_config(config)
        layer._frozen = tuple(frozen)
        layer._late.changes.update(changes)
        return layer

    def _changes(self) -> dict[str, dict[str, Any]]:
        """Serialized arguments, by name, of dense layers that were changed."""
        changes = {
            name: arguments
            for name, arguments in self._late.changes.items()
            if name not in self._late.dense
        }
        for name, layer in self._late.dense.items():
            if layer.quantization_mode is not None or layer.lora_rank:
                config = layer.get_config()
                changes[name] = {
                    key: config[key] for key in CHANGEABLE if key in config
                }
        return changes

    def _all_sub_layers(self) -> list[keras.layers.Layer]:
        """Also those of sub-layers: each after the one that holds it."""
        return layers_within(self)


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
