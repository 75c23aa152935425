"""Small nonnegative quadratic problems, solved on the device."""

from typing import Any

import keras
from keras import ops

from keras_mtl.solvers.gram import Tensor
from keras_mtl.solvers.gram import divisor


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
        matrix: Positive semidefinite float tensor `[..., T, T]`.
        vector: Float tensor `[..., T]`.

    Returns:
        Float tensor `[..., T]`; after 3 T + 5 turns, or if the problem has no
        bound, the best point so far.

    Reference:

    - Lawson and Hanson, Solving least squares problems, 1974
    """
    size = matrix.shape[-1]
    precise = keras.backend.standardize_dtype(matrix.dtype) == "float64"
    epsilon = 2.0**-52 if precise else 2.0**-23
    tolerance = 4 * epsilon * size**0.5

    def turn(_, basis, active, point):
        solution = _solve(matrix, vector, basis)
        point, leaving, blocked = _advance(point, solution, active)
        slope = (vector - _times(matrix, solution)) * (1 - active)
        noise = tolerance * (1 + ops.max(solution, axis=-1, keepdims=True))
        falls = ops.max(slope, axis=-1, keepdims=True) > noise
        entering = _unit(slope, ops.argmax) * ops.cast(falls, slope.dtype)
        basis = ops.where(
            blocked[..., None],
            _shrink(basis, leaving),
            _grow(matrix, basis, entering, tolerance),
        )
        active = active + ops.where(blocked, -leaving, entering)
        return ops.any(ops.logical_or(blocked, falls)), basis, active, point

    zeros = ops.zeros_like(vector)
    start = (True, ops.zeros_like(matrix), zeros, zeros)
    return ops.while_loop(
        lambda moves, *_: moves, turn, start, maximum_iterations=3 * size + 5
    )[-1]


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return ops.sum(matrix * vector[..., None, :], axis=-1)


def _times_transposed(matrix: Tensor, vector: Tensor) -> Tensor:
    return ops.sum(matrix * vector[..., :, None], axis=-2)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return left[..., :, None] * right[..., None, :]


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return ops.sum(left * right, axis=-1, keepdims=True)


def _unit(scores: Tensor, choose: Any) -> Tensor:
    """Unit vector of the index that `choose` picks."""
    index = choose(scores, axis=-1)
    return ops.one_hot(index, scores.shape[-1], dtype=scores.dtype)


def _project(basis: Tensor, vector: Tensor) -> Tensor:
    """A^-1 on the active block, W W'."""
    return _times(basis, _times_transposed(basis, vector))


def _solve(matrix: Tensor, vector: Tensor, basis: Tensor) -> Tensor:
    """A x = b on the active variables, zero elsewhere.

    The residual corrects what rounding did to the basis.
    """
    solution = _project(basis, vector)
    return solution + _project(basis, vector - _times(matrix, solution))


def _advance(
    point: Tensor, solution: Tensor, active: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """From a feasible point towards the solution, as far as is feasible.

    Returns:
        The new point, the unit vector of the variable that stops the way, and
        whether there is one, `[..., 1]`.
    """
    stops = ops.logical_and(active > 0, solution <= 0)
    blocked = ops.any(stops, axis=-1, keepdims=True)
    distance = point - solution
    distance = ops.where(distance > 0, distance, 1.0)
    share = ops.where(stops, point / distance, 2.0)
    leaving = _unit(share, ops.argmin)
    shortest = ops.min(share, axis=-1, keepdims=True)
    stopped = (point + shortest * (solution - point)) * (active - leaving)
    moved = ops.where(blocked, ops.maximum(stopped, 0.0), solution)
    return moved, leaving, blocked


def _grow(
    matrix: Tensor, basis: Tensor, unit: Tensor, tolerance: float
) -> Tensor:
    """Lets a variable in: one Gram-Schmidt step in the metric of A.

    The new direction takes the variable's own column of the basis. A zero
    `unit` changes nothing.
    """
    column = _times(matrix, unit)
    direction = unit - _project(basis, column)
    square = _dot(direction, _times(matrix, direction))
    # A variable that depends on the active ones has no length left but
    # rounding; the floor keeps its direction finite.
    floor = tolerance * ops.maximum(_dot(unit, column), tolerance)
    direction = direction / ops.sqrt(ops.maximum(square, floor))
    return basis + _outer(direction, unit)


def _shrink(basis: Tensor, unit: Tensor) -> Tensor:
    """Lets a variable out, by a rotation of the basis.

    A reflection turns the columns until only the variable's own column moves
    it, and that column goes. Unlike a downdate of the inverse it loses no
    accuracy where the active block is nearly singular.
    """
    row = _times_transposed(basis, unit)
    own = _dot(row, unit)
    length = ops.sqrt(_dot(row, row))
    mirror = row + ops.where(own < 0, -length, length) * unit
    factor = 2.0 / divisor(_dot(mirror, mirror))
    turned = basis - _outer(factor * _times(basis, mirror), mirror)
    keep = 1 - unit
    return turned * _outer(keep, keep)
