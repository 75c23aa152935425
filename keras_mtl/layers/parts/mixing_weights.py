"""Weights that mix tensors: alphas of a stitch, betas of a mixture."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.types import Tensor


class MixingWeights:
    """A small variable of a layer which may learn faster than the others.

    With a multiplier `m` the variable holds the weights divided by `m`. They
    are `m` times the variable on the way forward, while on the way back the
    variable gets the gradient of the weights as it is. So the optimizer makes
    for the variable the step that it would make for the weights, and the
    weights move `m` times as far: with plain SGD, with momentum and with Adam
    alike. The gradient that clipping and gradient aggregators see is not
    scaled.

    To multiply the gradient by `m` instead would do nothing under Adam, and to
    store the weights divided by `m` and no more would give SGD a rate of
    `m ** 2`.

    Regularizer and constraint see the weights, not the variable.

    Args:
        layer: The layer that owns the variable.
        name: str. Name of the variable.
        shape: Shape of the weights.
        initializer: Initializer of the weights, or a function of shape and
            dtype.
        regularizer: Regularizer of the weights or `None`.
        constraint: Constraint of the weights or `None`.
        learning_rate_multiplier: float > 0.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        name: str,
        shape: tuple[int, ...],
        initializer: Any,
        regularizer: Any = None,
        constraint: Any = None,
        learning_rate_multiplier: float = 1.0,
    ):
        self.multiplier = learning_rate_multiplier
        self.initializer = initializer
        self.regularizer = regularizer
        self.constraint = constraint
        self.variable = layer.add_weight(
            shape=shape,
            initializer=self._initial,
            regularizer=None if regularizer is None else self._penalty,
            constraint=None if constraint is None else self._constrained,
            # In half precision a small share would lose digits.
            autocast=False,
            name=name,
        )

    def tensor(self) -> Tensor:
        """The weights, through which gradients flow."""
        return self._scaled(self.variable)

    def numpy(self) -> np.ndarray:
        """The weights as they are now."""
        return ops.convert_to_numpy(self.variable) * self.multiplier

    def _initial(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        return self.initializer(shape, dtype=dtype) / self.multiplier

    def _penalty(self, variable: Tensor) -> Tensor:
        return self.regularizer(self._scaled(variable))

    def _constrained(self, variable: Tensor) -> Tensor:
        return self.constraint(variable * self.multiplier) / self.multiplier

    def _scaled(self, variable: Tensor) -> Tensor:
        value = ops.convert_to_tensor(variable)
        if self.multiplier == 1.0:
            return value
        # The second term is zero, with a gradient of one.
        return ops.stop_gradient(value * self.multiplier) + (
            value - ops.stop_gradient(value)
        )


def mix_rows(weights: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """One mixture of the tensors for each row of weights; see `mix`.

    Args:
        weights: Tensor `(rows, tensors)`, or `(rows, tensors, channels)`.
        tensors: Tensors of equal shape.
    """
    # Of a few tensors the sums are faster. Of more, they are too many: 64 for
    # 8 tasks, and for the gradient of each weight XLA on a CPU adds up the
    # whole batch one number after another. GPUs may round the product as they
    # do in dense layers.
    if len(tensors) < 4 or len(weights.shape) > 2:
        return [mix(row, tensors) for row in ops.unstack(weights)]
    matrix = ops.stack(
        [
            # By hand, because a `tensordot` of more axes is slow on JAX.
            ops.reshape(ops.cast(tensor, weights.dtype), (-1,))
            for tensor in tensors
        ]
    )
    # Not by their indices, whose gradients TensorFlow pads to the whole each.
    mixed = ops.unstack(ops.matmul(weights, matrix))
    shape = ops.shape(tensors[0])
    dtype = _type_of_mixture(weights, tensors)
    return [ops.cast(ops.reshape(row, shape), dtype) for row in mixed]


def mix(weights: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """The sum of tensors, each times its weight, in the type of the tensors.

    Of integers, in the type of the weights.

    Args:
        weights: Tensor of one weight for each, or of one for each channel.
        tensors: Tensors of equal shape.

    It is computed in the type of the weights: the gradient of one weight is a
    sum over the whole batch, which half precision could not hold.

    A sum of products and no matrix product, because XLA makes one loop of it
    and needs no stacked copy of the tensors.
    """
    terms = [
        weights[index] * ops.cast(tensor, weights.dtype)
        for index, tensor in enumerate(tensors)
    ]
    dtype = _type_of_mixture(weights, tensors)
    return ops.cast(sum(terms[1:], terms[0]), dtype)


def _type_of_mixture(weights: Tensor, tensors: Sequence[Tensor]) -> str:
    dtype = keras.backend.standardize_dtype(tensors[0].dtype)
    # Integers would lose what is behind the point, most often all of it.
    return dtype if keras.backend.is_float_dtype(dtype) else weights.dtype


def share_rest(matrix_size: int, own: float) -> np.ndarray:
    """A matrix with `own` on its diagonal whose rows sum to one."""
    rest = (1.0 - own) / (matrix_size - 1)
    return np.full((matrix_size, matrix_size), rest) + np.eye(matrix_size) * (
        own - rest
    )
