"""Gram matrices as every method wants them: floating, square, near one."""

from typing import Any

from keras import ops


def to_gram(gram: Any) -> Any:
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
    if "64" in str(gram.dtype) and "float" in str(gram.dtype):
        return gram
    return ops.cast(gram, "float32")


def diagonal(gram: Any) -> Any:
    """Squared norms `[..., T]` of a Gram matrix `[..., T, T]`."""
    return ops.diagonal(gram, axis1=-2, axis2=-1)


def normalize(gram: Any) -> Any:
    """Divides each matrix by its largest diagonal entry.

    Every aggregator depends on the ratios of the gradients only. Products of
    entries of the divided matrix stay in range for gradients of any common
    scale from 1e-15 to 1e15. A zero matrix stays zero; one with entries that
    are not finite stays not finite, so that a loss scaler sees it.
    """
    largest = ops.max(diagonal(gram), axis=-1)[..., None, None]
    return gram / ops.where(largest == 0, ops.ones_like(largest), largest)
