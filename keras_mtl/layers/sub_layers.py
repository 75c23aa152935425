"""What a layer does with other layers that it owns."""

import inspect
from typing import Any

import keras

Tensor = Any
Shape = tuple[int | None, ...]


class LateSubLayers(keras.layers.Layer):
    """Base of layers that make sub-layers in `build`.

    Such sub-layers have no configuration in that of their owner. So the owner
    writes down which of them are frozen, and freezes them once they are made
    anew: a file, a clone and `from_config` give what was trainable before, and
    with it the optimizer's state fits.

    `build` of a subclass ends with `self.freeze_sub_layers()`.

    Args:
        **kwargs: Base layer keyword arguments.
    """

    # Places in `_all_sub_layers` that are to be frozen in `build`.
    _frozen: tuple[int, ...] = ()

    @property
    def trainable(self) -> bool:
        return keras.layers.Layer.trainable.fget(self)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        # As of layers that are there: it holds for all of them.
        self._frozen = ()
        keras.layers.Layer.trainable.fset(self, value)

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
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LateSubLayers":
        config = dict(config)
        frozen = config.pop("frozen", ())
        layer = super().from_config(config)
        layer._frozen = tuple(frozen)
        return layer

    def _all_sub_layers(self) -> list[keras.layers.Layer]:
        """Also those of sub-layers: each after the one that holds it."""
        return list(self._flatten_layers(include_self=False))


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
