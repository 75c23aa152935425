"""Eigenvalues of Gram matrices, accurate however far apart the norms are."""

from keras import ops

from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.solvers.pivoted_cholesky import pivoted_cholesky
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import fori_loop
from keras_mtl.utils.loops import while_loop

MAX_SWEEPS = 20


def tolerance_of(tensor: Tensor) -> float:
    """What is taken for rounding in numbers near one: 64 units of it.

    In float32, 8e-6: the entries of a Gram matrix are sums over all variables,
    and what is less of them is not known to one digit.
    """
    return 64 * epsilon_of(tensor)


def symmetric_eigen(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of positive semidefinite matrices.

    A Gram matrix is graded: it is D C D with norms D that may be far apart and
    cosines C. Solvers that reduce it to tridiagonal form err by the rounding
    of the largest eigenvalue, and with norms of 1 and 1e-4 float32 leaves
    nothing of the others. Here K = L L' by Cholesky with pivots, and one-sided
    Jacobi rotations make the columns of L orthogonal: their squared lengths
    are the eigenvalues, each with a relative error that the condition of C
    alone decides. All T / 2 pairs of a round rotate at once.

    Gradients that lie in the span of the others to within 0.3 per cent of
    their own length (float32) count as dependent on them; the rank is that of
    what remains, and K is replaced by the nearby matrix of that rank.

    Args:
        gram: Float tensor `[..., T, T]`, near one (see `normalize`).

    Returns:
        Eigenvalues `[..., T]` in no particular order, and eigenvectors
        `[..., T, T]`, one a row. Beyond the rank both are exactly zero.

    Reference:

    - Demmel and Veselic, Jacobi's method is more accurate than QR, 1992
    """
    cosines, lengths = to_cosines(gram)
    factor = pivoted_cholesky(cosines, tolerance_of(cosines))
    factor = factor * lengths[..., None, :]
    rows = _orthogonal(factor)
    values = ops.sum(rows * rows, axis=-1)
    return values, rows / divisor(ops.sqrt(values))[..., None]


def components(vectors: Tensor, vector: Tensor) -> Tensor:
    """Components of a vector along eigenvectors, zero where just rounding.

    Divided by a small eigenvalue, rounding would count.

    Args:
        vectors: Float tensor `[..., T, T]`, from `symmetric_eigen`.
        vector: Float tensor `[T]` or `[..., T]`.

    Returns:
        Float tensor `[..., T]`.
    """
    parts = ops.sum(vectors * vector[..., None, :], axis=-1)
    length = ops.sqrt(ops.sum(vector * vector, axis=-1, keepdims=True))
    noise = ops.abs(parts) <= tolerance_of(vectors) * length
    return ops.where(noise, ops.zeros_like(parts), parts)


def compose(vectors: Tensor, parts: Tensor) -> Tensor:
    """The vector `[..., T]` that has these components."""
    return ops.sum(vectors * parts[..., :, None], axis=-2)


def _orthogonal(rows: Tensor) -> Tensor:
    """Rotates pairs of rows until all are orthogonal.

    The pairs of a round are the rows of the two halves; between rounds all
    rows but the first move on by one place, as in a tournament, so that in
    one sweep each row meets each other once.
    """
    size = rows.shape[-1]
    half = (size + 1) // 2
    # Rows become columns: XLA adds up along the last axis one by one on CPU,
    # along another many at once.
    columns = ops.swapaxes(rows, -1, -2)
    if size % 2:
        columns = ops.concatenate(
            [columns, ops.zeros_like(columns[..., :, :1])], -1
        )
    # A sweep that meets cosines of at most c leaves some of about c squared.
    enough = tolerance_of(rows) ** 0.5 / 3

    def turn(_, state):
        upper, lower, gap = state
        upper, lower, cosine = _rotate(upper, lower)
        return *_next_pairs(upper, lower), ops.maximum(gap, cosine)

    def sweep(upper, lower, gap):
        state = (upper, lower, ops.zeros_like(gap))
        return fori_loop(0, 2 * half - 1, turn, state)

    gap = ops.ones_like(columns[..., :1, :half])
    upper, lower, _ = while_loop(
        lambda upper, lower, gap: ops.any(gap > enough),
        sweep,
        (columns[..., :half], columns[..., half:], gap),
        maximum_iterations=MAX_SWEEPS,
    )
    columns = ops.concatenate([upper, lower], axis=-1)[..., :size]
    return ops.swapaxes(columns, -1, -2)


def _rotate(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotates each pair of columns to be orthogonal, by the smaller angle.

    Returns:
        The rotated columns, and the cosines that they had, `[..., 1, T / 2]`.
    """
    first = ops.sum(left * left, axis=-2, keepdims=True)
    second = ops.sum(right * right, axis=-2, keepdims=True)
    dot = ops.sum(left * right, axis=-2, keepdims=True)
    cosine = ops.abs(dot) / divisor(ops.sqrt(first) * ops.sqrt(second))
    slope = (second - first) / (2 * divisor(dot))
    tangent = 1 / (ops.abs(slope) + ops.sqrt(1 + slope * slope))
    tangent = ops.where(slope < 0, -tangent, tangent)
    tangent = ops.where(dot == 0, ops.zeros_like(dot), tangent)
    cos = 1 / ops.sqrt(1 + tangent * tangent)
    sin = cos * tangent
    # What a rotation changes, so that small ones round little: hundreds of
    # `cos * left - sin * right` would make the columns shorter.
    half = sin / (1 + cos)
    change = sin * (right + half * left)
    return left - change, right + sin * (left - half * right), cosine


def _next_pairs(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    if left.shape[-1] == 1:
        return left, right
    head, tail = left[..., :1], left[..., 1:]
    left = ops.concatenate([head, right[..., :1], tail[..., :-1]], -1)
    right = ops.concatenate([right[..., 1:], tail[..., -1:]], -1)
    return left, right
