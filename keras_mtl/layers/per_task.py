"""Networks side by side: a copy of one layer for each task."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.layers.parts.by_task import check_shapes
from keras_mtl.layers.parts.by_task import check_tasks
from keras_mtl.layers.parts.by_task import is_sequence_of_many
from keras_mtl.layers.parts.by_task import to_list
from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import make_layers
from keras_mtl.layers.parts.copies import serialize_layers
from keras_mtl.layers.parts.sub_layers import build_layer
from keras_mtl.layers.parts.sub_layers import takes_mask


@keras.saving.register_keras_serializable(package="keras_mtl")
class PerTask(keras.layers.Layer):
    """A copy of a layer or model for each task.

    The copies have initial weights of their own and share nothing: with
    nothing else around them they are the independent networks to compare with.
    They are also what cross-stitch and gated sharing units stand between.

    Each copy is called as it would be by itself: with `training`, and with
    the mask of its input. It keeps its own dtype policy.

    Args:
        layer: A Keras layer or model, of which each task gets a copy; a
            function without arguments that makes a layer, called once for
            each task; or a list of layers, one for each task, used as they
            are.
        tasks: List of the names of the tasks.
        **kwargs: Base layer keyword arguments, such as `name`.

    Call arguments:
        inputs: One tensor, which every copy gets, or a dict from names of
            tasks to tensors, or a list of tensors in the order of `tasks`.
        mask: Mask of the inputs, where they do not carry it: one for one
            tensor, else a dict or a list like `inputs`.
        training: bool. Passed on to the copies.

    Returns:
        Dict from names of tasks to the outputs of their copies. A layer for
        one task takes its tensor, as `outputs["left"]`.

    Raises:
        ValueError: If `tasks` are not different names, if `layer` is none of
            these or cannot be copied, and if the inputs are those of other
            tasks.

    Attributes:
        copies: The layers, in the order of `tasks`.

    Example:

    ```python
    towers = keras_mtl.layers.PerTask(
        keras.Sequential(
            [keras.layers.Dense(16, "relu"), keras.layers.Dense(1)]
        ),
        tasks=["income", "marital"],
    )
    towers(keras.random.normal((32, 8)))["income"]  # (32, 1)
    ```
    """

    def __init__(self, layer: Any, tasks: Sequence[str], **kwargs: Any):
        # Each copy casts to its own type: not twice.
        super().__init__(autocast=False, **kwargs)
        self.tasks = check_tasks(tasks)
        self.copies = make_layers("layer", layer, self.tasks)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        check_shapes(self.name, input_shape)
        shapes = spread(self.name, self.tasks, input_shape)
        for layer, shape in zip(self.copies, shapes, strict=True):
            build_layer(layer, shape)

    def call(
        self, inputs: Any, mask: Any = None, training: bool | None = None
    ) -> dict[str, Any]:
        tensors = spread(self.name, self.tasks, inputs)
        masks = self._masks(inputs, mask)
        outputs = {}
        for task, layer, x, m in zip(
            self.tasks, self.copies, tensors, masks, strict=True
        ):
            has_mask = m is not None and takes_mask(layer)
            arguments = {"mask": m} if has_mask else {}
            outputs[task] = layer(x, training=training, **arguments)
        return outputs

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        # A copy puts a mask on its output itself. Missing are those that were
        # given by argument to a copy that knows only the masks of tensors.
        tensors = spread(self.name, self.tasks, inputs)
        masks = self._masks(inputs, previous_mask)
        if all(mask is None for mask in masks):
            return None
        return {
            task: layer.compute_mask(x, m) if layer.supports_masking else None
            for task, layer, x, m in zip(
                self.tasks, self.copies, tensors, masks, strict=True
            )
        }

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        shapes = spread(self.name, self.tasks, input_shape)
        return {
            task: layer.compute_output_shape(shape)
            for task, layer, shape in zip(
                self.tasks, self.copies, shapes, strict=True
            )
        }

    def compute_output_spec(
        self, inputs: Any, mask: Any = None, training: bool | None = None
    ) -> dict[str, Any]:
        # From the copies, because the types of the outputs are theirs.
        tensors = spread(self.name, self.tasks, inputs)
        return {
            task: layer.compute_output_spec(x)
            for task, layer, x in zip(
                self.tasks, self.copies, tensors, strict=True
            )
        }

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "layer": serialize_layers(self.copies),
                "tasks": list(self.tasks),
            }
        )
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "PerTask":
        layers = deserialize_layers(config["layer"], custom_objects)
        return cls(**{**config, "layer": layers})

    def _masks(self, inputs: Any, mask: Any) -> list[Any]:
        if all(m is None for m in keras.tree.flatten(mask)):
            return [None] * len(self.tasks)
        if is_by_task(mask) and not is_by_task(inputs):
            raise ValueError(
                f"Layer '{self.name}' takes one mask with one tensor. For "
                "masks by task give it the inputs by task too. Received: "
                f"mask={mask!r}"
            )
        return spread(self.name, self.tasks, mask)


def is_by_task(inputs: Any) -> bool:
    """Whether there is one tensor or shape a task, not one for all."""
    return isinstance(inputs, dict) or is_sequence_of_many(inputs)


def spread(layer: str, tasks: Sequence[str], inputs: Any) -> list[Any]:
    """A tensor or shape for each task; one alone is that of all tasks.

    Args:
        layer: Name of the layer, for error messages.
        tasks: Names of the tasks, in the order of the result.
        inputs: One tensor or shape, or a dict or a sequence of them.

    Raises:
        ValueError: If the tasks are others than those.
    """
    if is_by_task(inputs):
        return to_list(layer, tasks, inputs)
    return [inputs] * len(tasks)
