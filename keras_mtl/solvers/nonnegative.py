"""Small nonnegative quadratic problems, solved on the device."""

from keras import ops

from keras_mtl.solvers.active_set import advance
from keras_mtl.solvers.active_set import exchange
from keras_mtl.solvers.active_set import solve
from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.gram import Tensor
from keras_mtl.solvers.gram import epsilon_of


def nonnegative_quadratic(matrix: Tensor, vector: Tensor) -> Tensor:
    """Minimises (1/2) x' A x - b' x over x >= 0, exactly.

    The active-set method of Lawson and Hanson with fixed shapes: each turn
    solves the problem on the active variables without the constraint, then
    lets one variable out (the first to reach zero on the way to that
    solution) or in (the one along which the objective falls fastest), for all
    problems of the batch at once. The active block of A is held as a basis W,
    a column for each active variable, with W' A W = I and so W W' its inverse.

    Scale the problem first: the tolerances suppose that the diagonal of A
    and the entries of b are near one at most.

    Args:
        matrix: Positive semidefinite float tensor `[..., T, T]`. Its leading
            axes may be fewer or ones, where several vectors have one matrix.
        vector: Float tensor `[..., T]`.

    Returns:
        Float tensor `[..., T]`; after 3 T + 5 turns, or if the problem has no
        bound, the best point so far.

    Reference:

    - Lawson and Hanson, Solving least squares problems, 1974
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
    return ops.while_loop(
        lambda moves, *_: moves, turn, start, maximum_iterations=3 * size + 5
    )[-1]
