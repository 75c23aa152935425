"""Experts of each task beside shared ones, and a gate for each task."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import serialize_layers
from keras_mtl.layers.parts.expert_mixture import SHARED
from keras_mtl.layers.parts.expert_mixture import ExpertMixture
from keras_mtl.layers.parts.expert_mixture import check_expert_tasks
from keras_mtl.layers.parts.expert_mixture import make_experts


@keras.saving.register_keras_serializable(package="keras_mtl")
class CGC(ExpertMixture):
    """Customized gate control: experts of each task beside shared ones.

    The gate of a task mixes the task's own experts and the shared ones, and
    never those of another task:

    `y_t = sum_e g_t(x)[e] * f_e(x)`, `e` in experts of `t` and shared ones,
    `g_t(x) = softmax(W_t x)`

    Without experts of tasks it is `MMoE`, and without shared experts the
    tasks are independent. `PLE` is several levels of this.

    Args:
        experts: A layer, a model or a function without arguments that makes
            one, of which there will be copies with initial weights of their
            own. Or a dictionary that has one of these, or a list of experts,
            for each task and for `"shared"`. What a gate mixes must be of one
            shape.
        tasks: List of the names of the tasks; none is called "shared".
        num_shared_experts: int >= 0. Number of shared experts; not needed for
            a list.
        num_task_experts: int >= 0, or a dictionary of them by task. Number of
            experts of each task; not needed for lists.
        gate: As in `MMoE`, over the experts of the task first and the shared
            ones then. Their number may differ between tasks, so that a
            function from the number of experts to a gate serves best.
        gate_per: As in `MMoE`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`. Or a dictionary: the
            experts and the gate of a task read the tensor under its name, and
            shared experts the one under `"shared"`.
        mask: Mask of the positions of `inputs`, with its structure.
        training: bool. In training, the layer keeps an average of its gates
            for `sharing_matrices()`.

    Returns:
        Dictionary from names of tasks to tensors of the shape that experts
        give. They keep the mask where the experts keep the positions.
        A layer for one task takes its tensor, as `outputs["left"]`;
        `PerTask` puts a copy of a layer on each.

    Raises:
        ValueError: If an argument is none of these, and in `build` if
            experts of one gate give different shapes, or if a gate does not
            give one logit for each expert.

    Example:

    ```python
    layer = keras_mtl.layers.CGC(
        keras.layers.Dense(16, activation="relu"),
        ["left", "right"],
        num_shared_experts=2,
        num_task_experts=1,
    )
    mixtures = layer(keras.random.normal((32, 50)))
    layer.sharing_matrices()[0].values.shape  # (2, 4): tasks, experts
    ```

    References:

    - Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task
      Learning (MTL) Model for Personalized Recommendations", RecSys 2020
      ([doi:10.1145/3383313.3412236](https://doi.org/10.1145/3383313.3412236))
    """

    def __init__(
        self,
        experts: Any,
        tasks: Sequence[str],
        num_shared_experts: int | None = None,
        num_task_experts: int | Mapping[str, int] | None = None,
        gate: Any = None,
        gate_per: str = "example",
        **kwargs: Any,
    ):
        groups = make_expert_groups(
            experts, tasks, num_shared_experts, num_task_experts
        )
        super().__init__(tasks, groups, gate, gate_per, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "experts": {
                    group: serialize_layers(experts)
                    for group, experts in self.expert_groups.items()
                },
                "tasks": list(self.tasks),
                "num_shared_experts": len(self.expert_groups[SHARED]),
                "num_task_experts": {
                    task: len(self.expert_groups[task]) for task in self.tasks
                },
                "gate": serialize_layers(self.gates),
                "gate_per": self.gate_per,
            }
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CGC":
        experts = {
            group: deserialize_layers(configs)
            for group, configs in config["experts"].items()
        }
        gate = deserialize_layers(config["gate"])
        return cls(**{**config, "experts": experts, "gate": gate})


def make_expert_groups(
    experts: Any,
    tasks: Any,
    num_shared: int | None,
    num_task: int | Mapping[str, int] | None,
    start: int = 0,
) -> dict[str, list[keras.layers.Layer]]:
    """The experts of each task, and the shared ones."""
    groups = [*check_expert_tasks(tasks), SHARED]
    given = _by_group(experts, groups)
    made: dict[str, list[keras.layers.Layer]] = {}
    for group in groups:
        is_shared = group == SHARED
        made[group] = make_experts(
            given[group],
            num_shared if is_shared else _number_for(num_task, group, groups),
            f"{group}_expert",
            "num_shared_experts" if is_shared else "num_task_experts",
            start=start + sum(map(len, made.values())),
        )
    return made


def _by_group(experts: Any, groups: list[str]) -> Mapping[str, Any]:
    if isinstance(experts, (list, tuple)):
        raise ValueError(
            "A list of `experts` does not say whose they are. Give a "
            f"dictionary of lists, for each of {groups}."
        )
    if not isinstance(experts, Mapping):
        return dict.fromkeys(groups, experts)
    if set(experts) != set(groups):
        raise ValueError(
            "A dictionary of `experts` should have an entry for each of "
            f"{groups}. Received: {sorted(map(str, experts))}"
        )
    return experts


def _number_for(
    given: int | Mapping[str, int] | None, task: str, groups: list[str]
) -> int | None:
    if not isinstance(given, Mapping):
        return given
    if set(given) != set(groups[:-1]):
        raise ValueError(
            "A dictionary of `num_task_experts` should have a number for each "
            f"of the tasks {groups[:-1]}. Received: {dict(given)}"
        )
    return given[task]
