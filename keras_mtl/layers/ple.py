"""Levels of task experts and shared experts, each reading the one below."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.layers.cgc import make_expert_groups
from keras_mtl.layers.parts.by_task import check_shapes
from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import serialize_layers
from keras_mtl.layers.parts.expert_mixture import SHARED
from keras_mtl.layers.parts.expert_mixture import ExpertMixture
from keras_mtl.layers.parts.expert_mixture import check_different
from keras_mtl.layers.parts.expert_mixture import check_expert_tasks
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from


@keras.saving.register_keras_serializable(package="keras_mtl")
class PLE(keras.layers.Layer):
    """Progressive layered extraction: several levels of experts and gates.

    Each level has experts of each task and shared ones. The gate of a task
    mixes its own experts and the shared ones; in all levels but the last,
    one more gate mixes all experts of the level, those of all tasks among
    them. On the next level, the experts and the gate of a task read the
    mixture of that task, and the shared experts and their gate read that of
    all. With one level, this is `CGC`.

    As in the paper; LibMTL has no gate over all experts, and applies shared
    experts to the mixture of each task instead.

    Args:
        experts: As in `CGC`, for all levels; or a list with one entry for
            each level.
        tasks: List of the names of the tasks; none is called "shared".
        num_levels: int >= 1. Number of levels.
        num_shared_experts: int >= 0. Number of shared experts on each level;
            not needed for lists.
        num_task_experts: int >= 0, or a dictionary of them by task. Number of
            experts of each task on each level; not needed for lists.
        gate: As in `MMoE`, for all levels; or a list with one entry for each
            level. The gate over all experts has more of them than those of
            tasks, so a function from the number of experts to a gate serves
            best.
        gate_per: As in `MMoE`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`. Or a dictionary: on
            the first level, the experts and the gate of a task read the
            tensor under its name, and shared experts and the gate over all
            experts the one under `"shared"`.
        mask: Mask of the positions of `inputs`, with its structure.
        training: bool. In training, the layer keeps an average of its gates
            for `sharing_matrices()`.

    Returns:
        Dictionary from names of tasks to tensors of the shape that experts of
        the last level give. They keep the mask where the experts keep the
        positions.
        A layer for one task takes its tensor, as `outputs["left"]`;
        `PerTask` puts a copy of a layer on each.

    Raises:
        ValueError: If an argument is none of these, and in `build` if
            experts of one gate give different shapes, or if a gate does not
            give one logit for each expert.

    Example:

    ```python
    layer = keras_mtl.layers.PLE(
        keras.layers.Dense(16, activation="relu"),
        ["left", "right"],
        num_levels=2,
        num_shared_experts=2,
        num_task_experts=1,
    )
    mixtures = layer(keras.random.normal((32, 50)))
    len(layer.sharing_matrices())  # 2, one for each level
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
        num_levels: int = 2,
        num_shared_experts: int | None = None,
        num_task_experts: int | Mapping[str, int] | None = None,
        gate: Any = None,
        gate_per: str = "example",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.tasks = check_expert_tasks(tasks)
        self.num_levels = integer_from(1, "num_levels", num_levels)
        self.gate_per = gate_per
        groups = self._groups_by_level(
            experts, num_shared_experts, num_task_experts
        )
        gates = _by_level("gate", gate, self.num_levels)
        self.levels = []
        num_gates = 0
        for index in range(self.num_levels):
            level = ExpertMixture(
                self.tasks,
                groups[index],
                gates[index],
                gate_per,
                # Unless nothing above would read it.
                shared_row=any(above[SHARED] for above in groups[index + 1 :]),
                first_gate=num_gates,
                dtype=self.dtype_policy,
                name=f"level_{index}",
            )
            num_gates += len(level.gates)
            self.levels.append(level)
        check_different(sum((lv.sub_layers() for lv in self.levels), []))
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        # Here, as a user does not know the names of the levels.
        check_shapes(self.name, input_shape)
        shape = input_shape
        for level in self.levels:
            level.build(shape)
            shape = level.compute_output_shape(shape)

    def call(self, inputs: Any, mask: Any = None) -> dict[str, Tensor]:
        mixtures = self.levels[0](inputs, mask=mask)
        for level in self.levels[1:]:
            mixtures = level(mixtures)
        return mixtures

    def compute_output_shape(self, input_shape: Any) -> dict[str, Shape]:
        shape = input_shape
        for level in self.levels:
            shape = level.compute_output_shape(shape)
        return shape

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = previous_mask
        for level in self.levels:
            mask = level.compute_mask(None, mask)
        return mask

    def sharing_matrices(self) -> list[SharingMatrix]:
        """How much each task takes of each expert, on each level.

        Averages over examples, and over some hundred training steps of which
        the last ones count most. All zeros before the first step.

        Returns:
            A list of one matrix a level: tasks, and in all levels but the
            last what all tasks share, by experts; rows that sum to one.
        """
        return [
            matrix._replace(title=f"{matrix.title}, level {index}")
            for index, level in enumerate(self.levels)
            for matrix in level.sharing_matrices()
        ]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "experts": [
                    {
                        group: serialize_layers(experts)
                        for group, experts in level.expert_groups.items()
                    }
                    for level in self.levels
                ],
                "tasks": list(self.tasks),
                "num_levels": self.num_levels,
                "gate": [serialize_layers(lv.gates) for lv in self.levels],
                "gate_per": self.gate_per,
            }
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PLE":
        experts = [
            {group: deserialize_layers(c) for group, c in level.items()}
            for level in config["experts"]
        ]
        gate = [deserialize_layers(configs) for configs in config["gate"]]
        return cls(**{**config, "experts": experts, "gate": gate})

    def _groups_by_level(
        self, experts: Any, num_shared: int | None, num_task: Any
    ) -> list[dict[str, list[keras.layers.Layer]]]:
        groups: list[dict[str, list[keras.layers.Layer]]] = []
        for given in _by_level("experts", experts, self.num_levels):
            made = sum(len(g) for level in groups for g in level.values())
            groups.append(
                make_expert_groups(
                    given, self.tasks, num_shared, num_task, start=made
                )
            )
        return groups


def _by_level(argument: str, given: Any, num_levels: int) -> list[Any]:
    if not isinstance(given, (list, tuple)):
        return [given] * num_levels
    if len(given) != num_levels:
        raise ValueError(
            f"A list of `{argument}` should have an entry for each of the "
            f"{num_levels} levels. Received: {len(given)} of them"
        )
    return list(given)
