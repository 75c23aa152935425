"""Gram matrices as every method wants them: floating, square, near one."""

import keras
import numpy as np
from keras import ops

from keras_mtl.types import Tensor

# Those that float32 holds in full precision.
POWERS_OF_TWO = 2.0 ** np.arange(-126, 128)


def to_gram(gram: Tensor) -> Tensor:
    """Converts to a floating tensor `[..., T, T]`, at least float32.

    Squares of gradients leave the range of 16-bit floats, so those are
    computed in float32.

    Args:
        gram: Tensor or array, `[..., T, T]`.

    Returns:
        A tensor, float32 or float64.

    Raises:
        ValueError: If the last two axes are not equal.
    """
    gram = ops.convert_to_tensor(gram)
    shape = gram.shape
    if len(shape) < 2 or shape[-1] is None or shape[-1] != shape[-2]:
        raise ValueError(
            "`gram` must hold square matrices of inner products of the task "
            "gradients, shape [..., T, T] with a known T. Received: "
            f"gram.shape={tuple(shape)}"
        )
    if keras.backend.standardize_dtype(gram.dtype) == "float64":
        return gram
    return ops.cast(gram, "float32")


def to_jacobian(jacobian: Tensor) -> Tensor:
    """Converts task gradients to a floating tensor `[T, n]`.

    Args:
        jacobian: Tensor, array or lists, `[T, n]`.

    Returns:
        A tensor of the same type; float32 for integers, in which no weights
        could be.

    Raises:
        ValueError: If there are not two axes, or no tasks.
    """
    jacobian = ops.convert_to_tensor(jacobian)
    shape = tuple(jacobian.shape)
    if len(shape) != 2 or shape[0] == 0:
        raise ValueError(
            "`jacobian` must have the gradient of a task in each row, shape "
            "[T, n] with T of at least 1. Received: "
            f"jacobian.shape={shape}"
        )
    dtype = keras.backend.standardize_dtype(jacobian.dtype)
    if keras.backend.is_float_dtype(dtype):
        return jacobian
    return ops.cast(jacobian, "float32")


def diagonal(gram: Tensor) -> Tensor:
    """Squared norms `[..., T]` of a Gram matrix `[..., T, T]`."""
    return ops.diagonal(gram, axis1=-2, axis2=-1)


def normalize(gram: Tensor) -> Tensor:
    """Divides each matrix by its largest diagonal entry.

    Every aggregator depends on the ratios of the gradients only. Products of
    entries of the divided matrix stay in range for gradients of any common
    scale from 1e-15 to 1e15. A zero matrix stays zero; one with entries that
    are not finite stays not finite, so that a loss scaler sees it.
    """
    largest = ops.max(diagonal(gram), axis=-1)[..., None, None]
    return gram / divisor(largest)


def power_of_two(values: Tensor) -> Tensor:
    """The power of two next below; one for zero and what is not finite.

    Squares of what is divided by it are in range where those of the values
    are not, and the division rounds nothing.
    """
    usable = ops.logical_and(values > 0, ops.isfinite(values))
    exponent = ops.floor(ops.log2(ops.where(usable, values, 1.0)))
    place = ops.cast(ops.clip(exponent, -126, 127) + 126, "int32")
    # XLA's `exp2` errs in the sixth digit, and the inverse of a little more
    # than the largest power is rounded to zero.
    powers = ops.convert_to_tensor(POWERS_OF_TWO, values.dtype)
    return ops.where(usable, ops.take(powers, place), 1.0)


def in_units(gram: Tensor, units: Tensor | None) -> Tensor:
    """Inner products of gradients from those of gradients over `units`.

    Args:
        gram: Float tensor `[..., T, T]`.
        units: Float tensor `[...]`; None for ones.
    """
    if units is None:
        return gram
    # One after the other: the square of a unit may be out of range.
    units = ops.cast(units, gram.dtype)[..., None, None]
    return gram * units * units


def divisor(values: Tensor) -> Tensor:
    """The values, with one for zero: what is divided by them is zero too."""
    return ops.where(values == 0, ops.ones_like(values), values)


def epsilon_of(tensor: Tensor) -> float:
    """The rounding of numbers near one in a tensor's precision."""
    precise = keras.backend.standardize_dtype(tensor.dtype) == "float64"
    return 2.0**-52 if precise else 2.0**-23
