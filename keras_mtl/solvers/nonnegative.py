"""Small nonnegative quadratic problems, solved on the device."""

from keras import ops

from keras_mtl.solvers.active_set import advance
from keras_mtl.solvers.active_set import exchange
from keras_mtl.solvers.active_set import solve
from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.least_squares import nonnegative_least_squares
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.solvers.pivoted_cholesky import pivoted_cholesky
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import cond
from keras_mtl.utils.loops import while_loop


def nonnegative_quadratic(matrix: Tensor, vector: Tensor) -> Tensor:
    """Minimises (1/2) x' A x - b' x over x >= 0, exactly.

    Where the active block of A stays far from singular it is solved as it
    stands, and what comes out is checked. Problems that fail the check are
    solved once more as least squares, with the columns of a Cholesky factor of
    A for vectors: there a variable that depends on others does no harm.

    Scale the problem first: the tolerances suppose that the diagonal of A
    and the entries of b are near one at most.

    Args:
        matrix: Positive semidefinite float tensor `[..., T, T]`. Its leading
            axes may be fewer or ones, where several vectors have one matrix.
        vector: Float tensor `[..., T]`.

    Returns:
        Float tensor `[..., T]`. Where the problem has no bound, as b is no
        combination of the columns of A, that of the part of b that is one.

    Reference:

    - Lawson and Hanson, Solving least squares problems, 1974
    """
    found, failed = quadratic_on_matrix(matrix, vector)
    return cond(
        ops.any(failed),
        lambda: ops.where(failed, _on_factor(matrix, vector), found),
        lambda: found,
    )


def quadratic_on_matrix(
    matrix: Tensor, vector: Tensor
) -> tuple[Tensor, Tensor]:
    """The active-set method of Lawson and Hanson with fixed shapes.

    Each turn solves the problem on the active variables without the
    constraint, then lets one variable out (the first to reach zero on the way
    to that solution) or in (the one along which the objective falls fastest),
    for all problems of the batch at once. The active block of A is held as a
    basis W, a column for each active variable, with W' A W = I and so W W' its
    inverse.

    Returns:
        The best point so far after at most 3 T + 5 turns, `[..., T]`, and
        whether it is not to be relied on, `[..., 1]`.
    """
    size = matrix.shape[-1]
    tolerance = 4 * epsilon_of(matrix) * size**0.5

    def turn(_, basis, active, point):
        solution = solve(matrix, vector, basis)
        point, leaving, blocked = advance(point, solution, active)
        slope = (vector - times(matrix, solution)) * (1 - active)
        moves, basis, active = exchange(
            matrix, basis, active, solution, slope, leaving, blocked, tolerance
        )
        return moves, basis, active, point

    zeros = ops.zeros_like(vector)
    # As many as there are vectors, which may share a matrix.
    basis = ops.zeros_like(matrix) + zeros[..., None]
    start = (True, basis, zeros, zeros)
    _, basis, active, point = while_loop(
        lambda moves, *_: moves, turn, start, maximum_iterations=3 * size + 5
    )
    gap = vector - times(matrix, point)
    gap = ops.where(active > 0, ops.abs(gap), gap)
    noise = 2 * tolerance * (1 + ops.max(point, axis=-1, keepdims=True))
    off = ops.max(gap, axis=-1, keepdims=True) > noise
    # One over this is about the distance of a variable from the others.
    reach = ops.max(ops.abs(basis), axis=(-2, -1))[..., None]
    return point, ops.logical_or(off, reach > epsilon_of(matrix) ** -0.25)


def _on_factor(matrix: Tensor, vector: Tensor) -> Tensor:
    """The same by way of a Cholesky factor of A.

    Of A with b for one more column the factor has the target for one.
    """
    column = (ops.zeros_like(matrix[..., 0]) + vector)[..., None]
    corner = ops.zeros_like(column[..., :1, :])
    whole = ops.concatenate(
        [
            ops.concatenate([ops.zeros_like(column) + matrix, column], -1),
            ops.concatenate([ops.swapaxes(column, -1, -2), corner], -1),
        ],
        axis=-2,
    )
    factor = pivoted_cholesky(whole, 2 * epsilon_of(matrix))[..., :-1, :]
    return nonnegative_least_squares(factor[..., :-1], factor[..., -1])
