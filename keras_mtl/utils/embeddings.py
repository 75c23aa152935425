"""Which layers do nothing but look up rows of a table."""

from typing import Any

import keras

from keras_mtl.utils.keras_internals import layers_within


def embedding_layers(model: keras.Model) -> list[tuple[Any, int]]:
    """The layers that do nothing but look up rows of a trainable table.

    Returns:
        The layers, each with the position of its table among the trainable
        variables of the model.
    """
    positions = {id(v): i for i, v in enumerate(model.trainable_variables)}
    found = []
    for layer in layers_within(model):
        # A subclass may do more, and so do adapters and quantization.
        if type(layer) is not keras.layers.Embedding:
            continue
        plain = not layer.lora_enabled and layer.quantization_mode is None
        if layer.built and plain and id(layer.embeddings) in positions:
            found.append((layer, positions[id(layer.embeddings)]))
    return found
