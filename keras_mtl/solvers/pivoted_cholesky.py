"""Cholesky factors of matrices that may be singular."""

from keras import ops

from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import fori_loop


def pivoted_cholesky(matrix: Tensor, floor: float) -> Tensor:
    """L' with A = L L', largest remainder first; zeros beyond the rank.

    A row and column whose diagonal entry is zero are never a pivot: such an
    entry of L' is the solution of L y = b for the column b.

    Args:
        matrix: Symmetric float tensor `[..., T, T]`, diagonal near one.
        floor: What is left of a diagonal entry and not above it is taken for
            rounding.

    Returns:
        Float tensor `[..., T, T]`, a column of A a column.
    """
    size = matrix.shape[-1]

    def turn(index, state):
        factor, left, waits = state
        pivot = ops.one_hot(ops.argmax(left, axis=-1), size, dtype=matrix.dtype)
        height = ops.sum(pivot * left, axis=-1, keepdims=True)
        known = ops.sum(factor * pivot[..., None, :], axis=-1, keepdims=True)
        row = times(matrix, pivot)
        row = (row - ops.sum(factor * known, axis=-2)) * waits
        row = row / ops.sqrt(divisor(height))
        row = ops.where(height == 0, ops.zeros_like(row), row)
        place = ops.one_hot(index, size, dtype=matrix.dtype)
        waits = waits - pivot * waits
        left = (left - row * row) * waits
        # Not `left > floor`: what is not a number has to stay.
        left = ops.where(left <= floor, ops.zeros_like(left), left)
        return factor + place[:, None] * row[..., None, :], left, waits

    squares = diagonal(matrix)
    start = (ops.zeros_like(matrix), squares, ops.ones_like(squares))
    return fori_loop(0, size, turn, start)[0]
