"""Copies of one layer, each with initial weights of its own."""

import inspect
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras


def make_layers(
    argument: str, given: Any, names: Sequence[str]
) -> list[keras.layers.Layer]:
    """As many layers as there are names: copies of one, or those given.

    Args:
        argument: Name of the argument, for error messages.
        given: A Keras layer or model, of which every result is a copy with
            initial weights of its own, so that it stays as it is itself; a
            function without arguments that makes a new layer, called once
            for each name; or a sequence of layers, which are used as they
            are.
        names: Names of the copies.

    Returns:
        A list of layers, not built unless they were given so.

    Raises:
        ValueError: If `given` is none of these, or a sequence of another
            length, or if one layer comes twice.
    """
    if isinstance(given, (list, tuple)):
        return _check_layers(argument, list(given), names)
    if isinstance(given, keras.layers.Layer):
        return [
            copy_layer(argument, given, name, index)
            for index, name in enumerate(names)
        ]
    if callable(given) and not isinstance(given, type):
        made = [_call_factory(argument, given) for _ in names]
        return _check_different(argument, made)
    raise ValueError(
        f"`{argument}` should be a Keras layer, a model, a function without "
        "arguments that makes one, or a list of layers. Received: "
        f"{argument}={given!r}"
    )


def copy_layer(
    argument: str, layer: keras.layers.Layer, name: str, index: int
) -> keras.layers.Layer:
    """A new layer of the same configuration, with a name of its own.

    A seed in the configuration goes up by `index`: with the same one all
    copies would start from the same weights and drop the same units.
    """
    try:
        config = layer.get_config()
        config = {**_shift_seeds(config, index), "name": _plain(name)}
        return type(layer).from_config(config)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"`{argument}` cannot be copied from its configuration: {error}\n"
            "Give a function that makes a new one instead, such as `lambda: "
            f"keras.Sequential([...])`. Received: {argument}={layer!r}"
        ) from error


def clone_initializer(initializer: Any, index: int = 0) -> Any:
    """An initializer that draws values of its own.

    Even one without a seed gives equal values to all variables that share it.
    A seed goes up by `index`, because clones with the same one draw the same.
    """
    if isinstance(initializer, keras.initializers.Initializer):
        config = _shift_seeds(initializer.get_config(), index)
        return type(initializer).from_config(config)
    return initializer


def serialize_layers(
    layers: Sequence[keras.layers.Layer],
) -> list[dict[str, Any]]:
    """Configurations for `get_config` of the layer that owns these.

    Building is left to the owner, which gives its name to the variables.
    """
    return [
        _unbuilt(keras.saving.serialize_keras_object(layer)) for layer in layers
    ]


def deserialize_layers(
    configs: Sequence[Any], custom_objects: Any = None
) -> list[keras.layers.Layer]:
    """The layers that `serialize_layers` wrote down."""
    return [
        keras.saving.deserialize_keras_object(
            config, custom_objects=custom_objects
        )
        for config in configs
    ]


def _check_layers(
    argument: str, layers: list[Any], names: Sequence[str]
) -> list[keras.layers.Layer]:
    if len(layers) != len(names):
        raise ValueError(
            f"`{argument}` should hold {len(names)} layers, for {list(names)}."
            f" Received: {len(layers)} of them"
        )
    for layer in layers:
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                f"`{argument}` should be a list of Keras layers. Received: "
                f"{layer!r} in it"
            )
    return _check_different(argument, layers)


def _check_different(
    argument: str, layers: list[keras.layers.Layer]
) -> list[keras.layers.Layer]:
    """The layers, if none comes twice: that would share its weights."""
    if len({id(layer) for layer in layers}) < len(layers):
        raise ValueError(
            f"`{argument}` gives one layer twice, so that both would share "
            f"their weights. Give {len(layers)} different layers, a function "
            "that makes a new one in every call, or one layer and not a list, "
            f"to be copied. Received: {layers}"
        )
    return layers


def _call_factory(
    argument: str, factory: Callable[[], Any]
) -> keras.layers.Layer:
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ValueError(
            f"The function given as `{argument}` should take no arguments, "
            "such as `lambda: keras.layers.Dense(8)`. Received: "
            f"{argument}={factory!r}"
        ) from error
    except ValueError:
        pass  # Some functions do not tell what they take.
    layer = factory()
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            f"The function given as `{argument}` should return a new Keras "
            f"layer. Received: {layer!r}"
        )
    return layer


def _shift_seeds(config: Any, index: int) -> Any:
    """The configuration with every integer seed raised by `index`."""
    if isinstance(config, dict):
        return {
            key: value + index
            if key == "seed" and isinstance(value, int)
            else _shift_seeds(value, index)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_shift_seeds(value, index) for value in config)
    return config


def _unbuilt(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what would build the layer as it is made."""
    config = {k: v for k, v in config.items() if k != "build_config"}
    if (config["module"], config["class_name"]) == ("keras", "Sequential"):
        # It got its input, as far as it has one, when it was built.
        inner = dict(config["config"])
        inner.pop("build_input_shape", None)
        inner["layers"] = [
            _unbuilt(layer)
            for layer in inner["layers"]
            if layer["class_name"] != "InputLayer"
        ]
        config["config"] = inner
    return config


def _plain(name: str) -> str:
    # A slash has a meaning in the names of variables.
    return name.replace("/", "_")
