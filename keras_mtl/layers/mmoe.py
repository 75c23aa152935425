"""Experts that all tasks share, and a gate for each task."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import serialize_layers
from keras_mtl.layers.parts.expert_mixture import SHARED
from keras_mtl.layers.parts.expert_mixture import ExpertMixture
from keras_mtl.layers.parts.expert_mixture import make_experts


@keras.saving.register_keras_serializable(package="keras_mtl")
class MMoE(ExpertMixture):
    """Multi-gate mixture of experts.

    All tasks read the same experts `f_e`, and each task `t` takes a mixture
    of its own, with weights that depend on the input:

    `y_t = sum_e g_t(x)[e] * f_e(x)`, `g_t(x) = softmax(W_t x)`

    Towers that come after it, one a task, are layers of your own. With one
    expert, this is hard parameter sharing.

    As in the paper, the linear map of a gate has no bias. The paper knows
    vectors `(batch, features)`. Here experts may be any layers, and inputs
    sequences or images as well: then the mixture is one for the whole
    example, and the gate reads the average over the positions that no mask
    hides, or, with `gate_per="position"`, each position has a mixture of its
    own.

    Args:
        experts: A layer, a model or a function without arguments that makes
            one, of which there will be `num_experts` copies with initial
            weights of their own; or a list of experts, which may be of
            different classes. All give tensors of one shape.
        tasks: List of the names of the tasks; none is called "shared".
        num_experts: int. Number of copies; not needed for a list. The paper
            has 8.
        gate: `None` for the gate above; a layer or model that gives logits,
            copied for each task, such as `keras.layers.Dense(8)` for 8
            experts; a function that makes one from the number of experts; a
            list, one for each task; or a
            [`DSelectKGate`](#keras_mtl.layers.DSelectKGate), which takes few
            of the experts.
        gate_per: `"example"` or `"position"`: what has a mixture of its own.
            Positions are those of the axes between batch and features, which
            experts must then keep.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`. Or a dictionary: the
            experts read the tensor under `"shared"`, and the gate of a task
            the one under its name, which may be of another shape.
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
            experts give different shapes, or if a gate does not give one
            logit for each expert.

    Example:

    ```python
    layer = keras_mtl.layers.MMoE(
        keras.layers.Dense(16, activation="relu"), ["left", "right"], 8
    )
    mixtures = layer(keras.random.normal((32, 50)))
    mixtures["left"].shape  # (32, 16)
    layer.sharing_matrices()[0].values.shape  # (2, 8): tasks, experts
    ```

    References:

    - Ma et al., "Modeling Task Relationships in Multi-task Learning with
      Multi-gate Mixture-of-Experts", KDD 2018
      ([doi:10.1145/3219819.3220007](https://doi.org/10.1145/3219819.3220007))
    """

    def __init__(
        self,
        experts: Any,
        tasks: Sequence[str],
        num_experts: int | None = None,
        gate: Any = None,
        gate_per: str = "example",
        **kwargs: Any,
    ):
        made = make_experts(experts, num_experts, "expert", "num_experts", 1)
        super().__init__(tasks, {SHARED: made}, gate, gate_per, **kwargs)

    @property
    def experts(self) -> list[keras.layers.Layer]:
        return self.expert_groups[SHARED]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "experts": serialize_layers(self.experts),
                "tasks": list(self.tasks),
                "num_experts": len(self.experts),
                "gate": serialize_layers(self.gates),
                "gate_per": self.gate_per,
            }
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MMoE":
        layers = {
            name: deserialize_layers(config[name])
            for name in ("experts", "gate")
        }
        return cls(**{**config, **layers})
