"""Recurrent networks for two tasks over one text, sharing more or less."""

from collections.abc import Callable
from typing import Any

import keras

import keras_mtl
from keras_mtl.datasets import TextTasks
from keras_mtl.layers import CrossStitch
from keras_mtl.layers import LayerMixture
from keras_mtl.layers import PerTask
from keras_mtl.layers import Sluice
from keras_mtl.regularizers import SubspaceOrthogonality

EMBEDDING_DIM = 64
DROPOUT = 0.3
DEPTH = 2
SUBSPACES = 2
STRENGTH = 0.1  # of the penalty that keeps subspaces apart, as published
LSTM_GATES = 4

Tensors = dict[str, Any]


def single(tokens: Any, data: TextTasks, width: int) -> Tensors:
    """A network a task, from the embeddings on; nothing is shared."""
    x = {}
    for task in data.num_classes:
        x[task] = _embed(tokens, data)
        for _ in range(DEPTH):
            x[task] = _recurrent(width)(x[task])
    return _classes(x, data)


def hard_sharing(tokens: Any, data: TextTasks, width: int) -> Tensors:
    """One network with two heads."""
    x = _embed(tokens, data)
    for _ in range(DEPTH):
        x = _recurrent(width)(x)
    return _classes({task: x for task in data.num_classes}, data)


def cross_stitch(tokens: Any, data: TextTasks, width: int) -> Tensors:
    """Recurrent layers a task, stitched after each of them."""
    x = _embed(tokens, data)
    for depth in range(DEPTH):
        x = PerTask(_recurrent(width), list(data.num_classes))(x)
        x = CrossStitch(name=f"stitch_{depth}")(x)
    return _classes(x, data)


def sluice(tokens: Any, data: TextTasks, width: int) -> Tensors:
    """Subspaces stitched after each layer, and a mixture of all layers."""
    x = _embed(tokens, data)
    apart = SubspaceOrthogonality(
        num_subspaces=SUBSPACES, strength=STRENGTH, num_gates=LSTM_GATES
    )
    depths = {task: [] for task in data.num_classes}
    for depth in range(DEPTH):
        x = PerTask(_recurrent(width, apart), list(depths))(x)
        x = Sluice(SUBSPACES, "imbalanced", name=f"sluice_{depth}")(x)
        for task in depths:
            depths[task].append(x[task])
    return _classes(LayerMixture(name="mixture")(depths), data)


# In the order of the table.
ARCHITECTURES: dict[str, Callable[..., Tensors]] = {
    "single": single,
    "hard_sharing": hard_sharing,
    "cross_stitch": cross_stitch,
    "sluice": sluice,
}


def build(
    architecture: str, data: TextTasks, width: int
) -> keras_mtl.MultiTaskModel:
    """Builds the network.

    Args:
        architecture: A key of `ARCHITECTURES`.
        data: For the vocabulary and the tasks.
        width: Units of a recurrent layer in each direction, an even number.

    Returns:
        A model from ids of tokens `(length,)` to a dict of logits by task.
    """
    tokens = keras.Input((data.train[0].shape[1],), dtype="int32")
    return keras_mtl.MultiTaskModel(
        tokens, ARCHITECTURES[architecture](tokens, data, width)
    )


def _embed(tokens: Any, data: TextTasks) -> Any:
    x = keras.layers.Embedding(
        len(data.vocabulary), EMBEDDING_DIM, mask_zero=True
    )(tokens)
    return keras.layers.Dropout(DROPOUT)(x)


def _recurrent(width: int, regularizer: Any = None) -> keras.layers.Layer:
    # The directions are added and not put side by side: so a half of the
    # features is a half of the units, which is what the penalty is about.
    return keras.layers.Bidirectional(
        keras.layers.LSTM(
            width, return_sequences=True, recurrent_regularizer=regularizer
        ),
        merge_mode="sum",
    )


def _classes(x: Tensors, data: TextTasks) -> Tensors:
    logits = {}
    for task, count in data.num_classes.items():
        pooled = keras.layers.GlobalAveragePooling1D()(x[task])
        pooled = keras.layers.Dropout(DROPOUT)(pooled)
        logits[task] = keras.layers.Dense(count, name=task)(pooled)
    return logits


def count_embeddings(model: keras.Model) -> int:
    """How many of a model's parameters are in tables of embeddings."""
    return sum(
        layer.count_params()
        for layer in model.layers
        if isinstance(layer, keras.layers.Embedding)
    )
