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


def mmoe(x: Tensor) -> Heads:
    experts = [
        keras.layers.Dense(4, activation="relu"),
        keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(4)]),
        keras.layers.Dense(4),
    ]
    return layers.MMoE(experts, TASKS)(x)


def d_select_k(x: Tensor) -> Heads:
    gate = layers.DSelectKGate(2, entropy_regularization=1e-3)
    expert = keras.layers.Dense(4, activation="relu")
    return layers.MMoE(expert, TASKS, num_experts=3, gate=gate)(x)


def cgc(x: Tensor) -> Heads:
    return layers.CGC(
        lambda: keras.layers.Dense(4, activation="relu"),
        TASKS,
        num_shared_experts=1,
        num_task_experts={"a": 1, "b": 2},
    )(x)


def ple(x: Tensor) -> Heads:
    return layers.PLE(
        keras.layers.Dense(4, activation="relu"),
        TASKS,
        num_levels=2,
        num_shared_experts=1,
        num_task_experts=1,
    )(x)


# Each turns features `(batch, 8)` into a tensor for each task.
CASES: dict[str, Callable[[Tensor], Heads]] = {
    "auxiliary_branch": auxiliary_branch,
    "cgc": cgc,
    "d_select_k": d_select_k,
    "mmoe": mmoe,
    "ple": ple,
    "self_auxiliary_head": self_auxiliary_head,
}
