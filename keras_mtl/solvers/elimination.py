"""Linear systems of positive definite matrices."""

from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.loops import fori_loop


def eliminate(matrix: Tensor, right: Tensor) -> Tensor:
    """A^-1 B for positive definite A, by Gauss-Jordan elimination.

    Such matrices need no pivoting. T turns of one outer product each are
    faster under XLA than its Cholesky factorisation, and on TensorFlow they
    compile in a quarter of the time.

    Args:
        matrix: Float tensor `[..., T, T]`.
        right: Float tensor `[..., T, n]`, B.

    Returns:
        Float tensor `[..., T, n]`. It says nothing where A is singular.
    """
    size = matrix.shape[-1]

    def turn(index, table):
        row = ops.take(table, index, axis=-2)
        column = ops.take(table, index, axis=-1)[..., None]
        row = (row / ops.take(row, index, axis=-1)[..., None])[..., None, :]
        own = ops.one_hot(index, size, dtype=table.dtype)[..., None]
        # The row itself is put in place, for a difference would cancel where
        # pivots are large.
        return (table - column * row) * (1 - own) + own * row

    table = ops.concatenate([matrix, right], axis=-1)
    return fori_loop(0, size, turn, table)[..., size:]
