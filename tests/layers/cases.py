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


def networks(x: Tensor, units: int = 4) -> Heads:
    dense = {t: keras.layers.Dense(units, activation="tanh") for t in TASKS}
    return {task: dense[task](x) for task in TASKS}


def per_task(x: Tensor) -> Heads:
    tower = keras.Sequential(
        [keras.layers.Dense(4, activation="tanh"), keras.layers.Dropout(0.1)]
    )
    return layers.PerTask(tower, TASKS)(x)


def soft_sharing(x: Tensor) -> Heads:
    tower = keras.layers.Dense(4, activation="tanh")
    near = layers.SoftSharing(tower, TASKS, strength=1e-3)(x)
    return layers.SoftSharing(tower, TASKS, strength=1e-3, norm="trace")(near)


def multilinear_relationship(x: Tensor) -> Heads:
    return layers.MultilinearRelationship(
        4, TASKS, activation="tanh", strength=1e-3, update_every=2
    )(x)


def cross_stitch(x: Tensor) -> Heads:
    stitch = layers.CrossStitch(per_channel=True, learning_rate_multiplier=10.0)
    return stitch(networks(x))


def sluice(x: Tensor) -> Heads:
    first = layers.Sluice()(networks(x))
    dense = {t: keras.layers.Dense(4, activation="tanh") for t in TASKS}
    second = layers.Sluice(initializer="imbalanced")(
        {t: dense[t](first[t]) for t in TASKS}
    )
    return layers.LayerMixture()({t: [first[t], second[t]] for t in TASKS})


def gated_sharing(x: Tensor) -> Heads:
    return layers.GatedSharing(gate="scalar")(
        layers.GatedSharing()(networks(x))
    )


def sub_network_routing(x: Tensor) -> Heads:
    low = [keras.layers.Dense(4, activation="tanh")(x) for _ in range(2)]
    low = layers.SubNetworkRouting(2, "transform", seed=0)(low)
    routing = layers.SubNetworkRouting(tasks=TASKS, strength=1e-3, seed=1)
    return routing(low)


def task_attention(x: Tensor) -> Heads:
    before = keras.layers.Dense(6, activation="relu")(x)
    after = keras.layers.Dense(5, activation="relu")(before)
    picked = layers.TaskAttention(TASKS)(before, after)
    return layers.TaskAttention(
        TASKS,
        hidden_units=3,
        transition=keras.layers.Dense(2),
        batch_normalization=False,
    )(after, keras.layers.Dense(5)(after), picked)


# Each turns features `(batch, 8)` into a tensor for each task.
CASES: dict[str, Callable[[Tensor], Heads]] = {
    "auxiliary_branch": auxiliary_branch,
    "cgc": cgc,
    "cross_stitch": cross_stitch,
    "d_select_k": d_select_k,
    "gated_sharing": gated_sharing,
    "mmoe": mmoe,
    "multilinear_relationship": multilinear_relationship,
    "per_task": per_task,
    "ple": ple,
    "self_auxiliary_head": self_auxiliary_head,
    "sluice": sluice,
    "soft_sharing": soft_sharing,
    "sub_network_routing": sub_network_routing,
    "task_attention": task_attention,
}
