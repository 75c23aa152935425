"""Weights that never change."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import is_number


@keras.saving.register_keras_serializable(package="keras_mtl")
class Constant(Aggregator):
    """Adds the task gradients with weights of your own.

    The weights are taken as they are; nothing makes them sum to one. Unlike
    `loss_weights` they leave the gradients of the heads, and the losses that
    are logged, alone.

    Args:
        weights: A finite number for each task, in the order of `loss`.
        granularity: Accepted as by every aggregator; it changes nothing here.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.Constant([1., 2.]).weights([[1., 0.], [0., 4.]])
    [1. 2.]
    """

    def __init__(
        self,
        weights: Sequence[float],
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.constants = _numbers(weights)

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Checks that there is a weight for each task."""
        self._check_number(len(task_names))

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`.
        """
        ones = ops.ones_like(diagonal(to_gram(gram)))
        self._check_number(ones.shape[-1])
        return ones * ops.convert_to_tensor(self.constants, dtype=ones.dtype)

    def _check_number(self, num_tasks: int) -> None:
        if len(self.constants) != num_tasks:
            raise ValueError(
                f"`weights` must have a number for each task, {num_tasks}. "
                f"Received: weights={self.constants}"
            )

    def get_config(self) -> dict[str, Any]:
        return {"weights": self.constants, **super().get_config()}


def _numbers(weights: Any) -> list[float]:
    given = weights.tolist() if isinstance(weights, np.ndarray) else weights
    is_sequence = isinstance(given, Sequence) and len(given) > 0
    if not is_sequence or not all(map(is_number, given)):
        raise ValueError(
            "`weights` must be a sequence of finite numbers, one for each "
            f"task. Received: weights={weights!r}"
        )
    return [float(value) for value in given]
