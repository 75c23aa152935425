"""Tasks without labels in a batch, for methods that know of none."""

from keras import ops

from keras_mtl.solvers.matrices import diagonal
from keras_mtl.types import Tensor


def stand_aside(gram: Tensor, present: Tensor) -> Tensor:
    """Makes tasks that have no gradient in this batch conflict with nothing.

    A zero gradient is the shortest combination of all: MGDA would give it the
    whole weight, and one task without labels would stop all others. As long
    and orthogonal gradients they take next to no part in methods that weigh
    short gradients more, or look at pairs. Others ask for `present` themselves.

    Args:
        gram: Float tensor `[..., R, R]`, the rows of the tasks first.
        present: Boolean tensor `[T]`, false for a task without labels.

    Returns:
        Float tensor `[..., R, R]`.
    """
    size = gram.shape[-1]
    absent = 1.0 - ops.cast(present, gram.dtype)
    absent = ops.pad(absent, (0, size - present.shape[0]))
    long = 1e6 * ops.max(diagonal(gram), axis=-1, keepdims=True)
    return gram + (long * absent)[..., None] * ops.eye(size, dtype=gram.dtype)
