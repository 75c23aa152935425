"""One small model for each layer that decides what tasks share."""

from collections.abc import Callable
from typing import Any

import keras

from keras_mtl import layers

TASKS = ("a", "b")

Tensor = Any
Heads = dict[str, Tensor]


def self_auxiliary_head(x: Tensor) -> Heads:
    shared = keras.layers.Dense(6, activation="relu")(x)
    return {
        "a": layers.SelfAuxiliaryHead(5, bottleneck=2)(shared),
        "b": layers.SelfAuxiliaryHead(5, pool_size=2)(shared),
    }


def auxiliary_branch(x: Tensor) -> Heads:
    early = keras.layers.Reshape((4, 4))(keras.layers.Dense(16)(x))
    late = keras.layers.Dense(6, activation="relu")(x)
    return {
        "a": layers.AuxiliaryBranch(keras.layers.Dense(5))([early, late]),
        "b": layers.AuxiliaryBranch(
            keras.layers.Dense(5),
            [keras.layers.Dense(3), keras.Sequential([keras.layers.Dense(2)])],
            fusion="concat",
        )([early, late]),
    }


# Each turns features `(batch, 8)` into a tensor for each task.
CASES: dict[str, Callable[[Tensor], Heads]] = {
    "auxiliary_branch": auxiliary_branch,
    "self_auxiliary_head": self_auxiliary_head,
}
