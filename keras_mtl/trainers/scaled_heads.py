"""Heads that learn at the pace of the weight of their task."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.gradients.sparse import dense
from keras_mtl.trainers.settings import takes_values
from keras_mtl.types import Column
from keras_mtl.types import Gradient
from keras_mtl.types import Tensor


def scale_heads(
    model: Any, columns: Sequence[Column], weights: Tensor
) -> list[list[Gradient]]:
    """The gradients of heads times the weights of their tasks.

    Args:
        model: A `MultiTaskModel`.
        columns: For each trainable variable its T task gradients; nothing but
            `None` where it is no head's.
        weights: Task weights `[T]`.
    """
    own = {id(variable) for variable in model.method_state.variables}
    return [
        _scaled(column, weights) if _is_scaled(variable, own) else list(column)
        for variable, column in zip(
            model.trainable_variables, columns, strict=True
        )
    ]


def _is_scaled(variable: keras.Variable, own: set[int]) -> bool:
    # What a weighting trains belongs to no head.
    return id(variable) not in own and not takes_values(variable)


def _scaled(column: Column, weights: Tensor) -> list[Gradient]:
    return [
        None if g is None else _times(weights[t], dense(g))
        for t, g in enumerate(column)
    ]


def _times(weight: Tensor, gradient: Tensor) -> Tensor:
    # In float32: a weight can be beyond the range of half precision.
    product = weight * ops.cast(gradient, weight.dtype)
    return ops.cast(product, gradient.dtype)
