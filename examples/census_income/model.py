"""Five ways to share a network between two tasks, at one size."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_mtl
from keras_mtl.datasets import CensusIncome
from keras_mtl.layers import PLE
from keras_mtl.layers import CrossStitch
from keras_mtl.layers import MMoE
from keras_mtl.layers import PerTask

TASKS = ("income", "marital")
EMBEDDING_DIM = 4
TOWER_UNITS = 32
NUM_EXPERTS = 8  # of MMoE, as in its paper
# Of PLE, in each of two levels: as many experts in all as a task of MMoE sees,
# less the other task's own.
PLE_LEVELS = 2
PLE_EXPERTS = {"num_shared_experts": 2, "num_task_experts": 2}

Tensors = dict[str, Any]


def shared_bottom(inputs: Tensors, data: CensusIncome, width: int) -> Tensors:
    """One hidden layer that both tasks read."""
    x = _hidden(width)(features(inputs, data))
    return _towers({task: x for task in TASKS})


def single(inputs: Tensors, data: CensusIncome, width: int) -> Tensors:
    """A network a task, from the embeddings on; nothing is shared."""
    return _towers(
        {task: _hidden(width)(features(inputs, data)) for task in TASKS}
    )


def cross_stitch(inputs: Tensors, data: CensusIncome, width: int) -> Tensors:
    """A hidden layer and a tower a task, stitched after each of them."""
    x = PerTask(_hidden(width), TASKS)(features(inputs, data))
    x = CrossStitch(name="stitch_hidden")(x)
    x = PerTask(_hidden(TOWER_UNITS), TASKS)(x)
    x = CrossStitch(name="stitch_tower")(x)
    return _logits(x)


def mmoe(inputs: Tensors, data: CensusIncome, width: int) -> Tensors:
    """Hidden layers as experts, which each task's gate mixes."""
    mixture = MMoE(_hidden(width), TASKS, num_experts=NUM_EXPERTS, name="mmoe")
    return _towers(mixture(features(inputs, data)))


def ple(inputs: Tensors, data: CensusIncome, width: int) -> Tensors:
    """Shared experts and experts of each task, in two levels."""
    mixture = PLE(
        _hidden(width),
        TASKS,
        num_levels=PLE_LEVELS,
        **PLE_EXPERTS,
        name="ple",
    )
    return _towers(mixture(features(inputs, data)))


# In the order of the table.
ARCHITECTURES: dict[str, Callable[..., Tensors]] = {
    "single": single,
    "shared_bottom": shared_bottom,
    "cross_stitch": cross_stitch,
    "mmoe": mmoe,
    "ple": ple,
}


def build(
    architecture: str, data: CensusIncome, width: int
) -> keras_mtl.MultiTaskModel:
    """Builds the network.

    Args:
        architecture: A key of `ARCHITECTURES`.
        data: For the columns and their vocabularies.
        width: Units of a hidden layer, or of each expert.

    Returns:
        A model from a dict of columns to a dict of logits `(1,)`.
    """
    inputs = {
        name: keras.Input((), name=name, dtype=str(values.dtype))
        for name, values in data.train[0].items()
    }
    return keras_mtl.MultiTaskModel(
        inputs, ARCHITECTURES[architecture](inputs, data, width)
    )


def features(inputs: Tensors, data: CensusIncome) -> Any:
    """Numbers, and embeddings of the categories, side by side."""
    names = list(data.vocabularies)
    sizes = [len(data.vocabularies[name]) for name in names]
    # One table for all columns: each has its own rows in it.
    first_rows = np.cumsum([0, *sizes[:-1]]).astype("int32")
    codes = keras.ops.stack([inputs[name] for name in names], axis=-1)
    x = keras.layers.Embedding(sum(sizes), EMBEDDING_DIM)(codes + first_rows)
    x = keras.layers.Flatten()(x)
    numbers = keras.ops.stack([inputs[name] for name in data.numeric], axis=-1)
    return keras.ops.concatenate([x, numbers], axis=-1)


def _hidden(units: int) -> keras.layers.Layer:
    return keras.layers.Dense(units, activation="relu")


def _towers(x: Tensors) -> Tensors:
    return _logits(PerTask(_hidden(TOWER_UNITS), TASKS)(x))


def _logits(x: Tensors) -> Tensors:
    return PerTask(keras.layers.Dense(1), TASKS, name="logits")(x)
