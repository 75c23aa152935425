"""The layers of a model that can show what they share."""

import itertools
import re
from collections import Counter
from typing import Any

import keras

from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.utils.keras_internals import layers_within


def shows_sharing(layer: Any) -> bool:
    """Whether a layer has something to look at."""
    return callable(getattr(layer, "sharing_matrices", None))


def sharing_layers(model: keras.layers.Layer) -> dict[str, Any]:
    """The layers of a model that have `sharing_matrices()`, by name.

    Also those of nested models. A layer that has it answers for the layers
    inside of it, too.

    Args:
        model: Keras model or layer.

    Returns:
        Dictionary from the names of the layers, with a number at the end where
        several have one name, to the layers in the order of the model.
    """
    found = _outermost(model)
    count = Counter(layer.name for layer in found)
    named = {}
    for layer in found:
        name = layer.name
        if count[name] > 1:
            # A number that makes it the name of no other: Keras counts too.
            names = (f"{name}_{number}" for number in itertools.count(1))
            name = next(n for n in names if n not in {*named, *count})
        named[name] = layer
    return named


def sharing_matrices(model: keras.layers.Layer) -> dict[str, SharingMatrix]:
    """What the layers of a model show, by the name of the layer.

    Where a layer has several matrices, their titles follow its name, after a
    slash. Layers that are not built have none.

    Args:
        model: Keras model or layer.
    """
    found = {}
    for name, layer in sharing_layers(model).items():
        matrices = layer.sharing_matrices() if layer.built else []
        for matrix in matrices:
            title = tag_of(matrix.title)
            found[name if len(matrices) == 1 else f"{name}/{title}"] = matrix
    return found


def tag_of(name: str) -> str:
    """A name as part of the name of a log, without spaces and commas."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_")


def _outermost(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    if shows_sharing(layer):
        return [layer]
    found = []
    for inner in layers_within(layer, recursive=False):
        found += [one for one in _outermost(inner) if one not in found]
    return found
