"""What layers have in common that pass features between equal networks."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.layers.parts import by_task
from keras_mtl.types import Shape
from keras_mtl.types import Tensor


class TaskExchange(keras.layers.Layer):
    """Base: one tensor of each task in, one of the same shape for each out.

    A subclass makes its weights in `build_exchange`, reads its inputs with
    `tensors_of` and returns `by_task.like(inputs, self.tasks, tensors)`.

    The mask of an output is the mask of the input of the same task.

    Args:
        **kwargs: Base layer keyword arguments.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        # Known from `build` on.
        self.tasks = None

    def build(self, input_shape: Any) -> None:
        tasks = by_task.names_of(self.name, input_shape)
        if len(tasks) < 2:
            raise ValueError(
                f"Layer '{self.name}' passes features between tasks, so it "
                f"needs at least two of them. Received: {tasks}"
            )
        by_task.check_shapes(self.name, input_shape)
        self.tasks = tasks
        shapes = by_task.to_list(self.name, tasks, input_shape)
        self.build_exchange(
            by_task.check_equal_shapes(self.name, tasks, shapes)
        )

    def build_exchange(self, shape: Shape) -> None:
        """Makes the weights.

        Args:
            shape: Shape that the tensors of all tasks have.
        """
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def tensors_of(self, inputs: Any) -> list[Tensor]:
        """The tensors in the order of `self.tasks`, all of one shape."""
        tensors = by_task.to_list(self.name, self.tasks, inputs)
        # A size of one would be stretched without a word.
        by_task.check_equal_shapes(
            self.name, self.tasks, [tensor.shape for tensor in tensors]
        )
        return tensors

    def channels_of(self, shape: Shape) -> int:
        """Size of the last axis, which must be known."""
        if len(shape) < 2 or shape[-1] is None:
            raise ValueError(
                f"Layer '{self.name}' needs tensors of shape (batch, ..., "
                "channels), of which it knows the number of channels. "
                f"Received: a tensor of shape {tuple(shape)}"
            )
        return shape[-1]


def masks_of(names: Sequence[str], masks: Any) -> list[Any]:
    """The masks of tensors by these names, in the order of the names.

    Args:
        names: Names of the tensors.
        masks: Dictionary or sequence like that of the tensors, in which any
            mask may be `None`, or `None` in place of all of them.
    """
    if masks is None:
        return [None] * len(names)
    if isinstance(masks, dict):
        return [masks[name] for name in names]
    return list(masks)


def check_built(layer: keras.layers.Layer) -> None:
    """Raises if a layer has no weights yet to look at."""
    if not layer.built:
        raise ValueError(
            f"Layer '{layer.name}' has no weights yet. Call it on tensors "
            "before you look at what it shares."
        )
