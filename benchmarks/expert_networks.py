"""MMoE and PLE of one size: of keras_mtl, in plain Keras, and of DeepCTR.

An expert is dense ReLU layers, a gate a linear map and a softmax, and a tower
one dense ReLU layer and one output.
"""

import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from benchmarks.network import Network
from keras_mtl.layers import PLE
from keras_mtl.layers import MMoE

MMOE = "mmoe"
ARCHITECTURES = {MMOE: "MMoE", "ple": "PLE"}
PLAIN = "plain"
IMPLEMENTATIONS = {
    PLAIN: "plain Keras layers",
    "keras_mtl": "keras_mtl",
    "deepctr": "DeepCTR",
}


@dataclasses.dataclass(frozen=True)
class Experts:
    """Sizes of the networks.

    Attributes:
        num_shared: Shared experts of MMoE, or on each level of PLE.
        num_task: Experts of each task on each level of PLE.
        units: Width of each layer of an expert.
        num_levels: Levels of PLE.
    """

    num_shared: int = 8
    num_task: int = 0
    units: tuple[int, ...] = (256, 128)
    num_levels: int = 1


def sizes(architecture: str, num_tasks: int, num_experts: int) -> Experts:
    """So that there are that many experts in MMoE, and on a level of PLE.

    Half of those of PLE are shared, and every task has at least one.
    """
    if architecture == MMOE:
        return Experts(num_experts)
    num_task = max(1, num_experts // 2 // num_tasks)
    num_shared = max(1, num_experts - num_task * num_tasks)
    return Experts(num_shared, num_task, num_levels=2)


def available(implementation: str) -> bool:
    if implementation != "deepctr":
        return True
    # It is written in TensorFlow.
    return (
        keras.backend.backend() == "tensorflow"
        and importlib.util.find_spec("deepctr") is not None
    )


def make_model(
    implementation: str, network: Network, experts: Experts
) -> keras.Model:
    """The network, not compiled. Of `network`, the trunk is left out."""
    keras.utils.set_random_seed(0)
    if implementation == "deepctr":
        return _deepctr(network, experts)
    inputs = keras.Input((network.input_dim,))
    mix = _plain if implementation == PLAIN else _keras_mtl
    mixtures = mix(inputs, network.tasks, experts)
    outputs = {}
    for task, x in mixtures.items():
        x = keras.layers.Dense(network.head_units, activation="relu")(x)
        outputs[task] = keras.layers.Dense(1, name=task)(x)
    return keras.Model(inputs, outputs)


def _keras_mtl(
    inputs: keras.KerasTensor, tasks: list[str], experts: Experts
) -> dict[str, keras.KerasTensor]:
    expert = keras.Sequential(
        [keras.layers.Dense(units, "relu") for units in experts.units]
    )
    if not experts.num_task:
        return MMoE(expert, tasks, experts.num_shared)(inputs)
    return PLE(
        expert,
        tasks,
        experts.num_levels,
        experts.num_shared,
        experts.num_task,
    )(inputs)


def _plain(
    inputs: keras.KerasTensor, tasks: list[str], experts: Experts
) -> dict[str, keras.KerasTensor]:
    """What one would write: a layer for each expert and each gate."""
    reads = dict.fromkeys([*tasks, "shared"], inputs)
    for level in range(experts.num_levels):
        own = {
            task: [
                _plain_expert(reads[task], experts.units)
                for _ in range(experts.num_task)
            ]
            for task in tasks
        }
        shared = [
            _plain_expert(reads["shared"], experts.units)
            for _ in range(experts.num_shared)
        ]
        # Of experts that all tasks mix, there is one stack for all.
        mix = _mixer(shared) if not experts.num_task else None
        mixtures = {
            task: (mix or _mixer(own[task] + shared))(reads[task])
            for task in tasks
        }
        if level < experts.num_levels - 1:
            everything = [e for task in tasks for e in own[task]] + shared
            mixtures["shared"] = _mixer(everything)(reads["shared"])
        reads = mixtures
    return reads


def _plain_expert(
    x: keras.KerasTensor, units: tuple[int, ...]
) -> keras.KerasTensor:
    for width in units:
        x = keras.layers.Dense(width, activation="relu")(x)
    return x


def _mixer(
    experts: list[keras.KerasTensor],
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """A function from what a gate reads to its mixture of the experts."""
    stack = ops.stack(experts, axis=1)

    def mix(x: keras.KerasTensor) -> keras.KerasTensor:
        gate = keras.layers.Dense(
            len(experts), activation="softmax", use_bias=False
        )
        return keras.layers.Dot(axes=1)([gate(x), stack])

    return mix


def _deepctr(network: Network, experts: Experts) -> keras.Model:
    from deepctr.feature_column import DenseFeat
    from deepctr.models import multitask

    arguments: dict[str, Any] = {
        "expert_dnn_hidden_units": experts.units,
        "tower_dnn_hidden_units": (network.head_units,),
        "task_types": ["regression"] * network.num_tasks,
        "task_names": network.tasks,
    }
    features = [DenseFeat("features", network.input_dim)]
    if experts.num_task:
        model = multitask.PLE(
            features,
            shared_expert_num=experts.num_shared,
            specific_expert_num=experts.num_task,
            num_levels=experts.num_levels,
            **arguments,
        )
    else:
        model = multitask.MMOE(
            features, num_experts=experts.num_shared, **arguments
        )
    outputs = dict(zip(network.tasks, model.outputs, strict=True))
    return keras.Model(model.inputs[0], outputs)
