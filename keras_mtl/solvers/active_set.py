"""Turns of the active-set method of Lawson and Hanson, in fixed shapes.

The active block of a matrix A is held as a basis W, a column for each active
variable, with W' A W = I and so W W' its inverse.
"""

from typing import Any

from keras import ops

from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """A' x, which for a symmetric matrix is A x.

    On a CPU, XLA adds up along the last axis one number after another, along
    the one before it many at once. (`ops.matmul` would be as fast, but rounds
    to 10 bits on most GPUs.)
    """
    return ops.sum(matrix * vector[..., :, None], axis=-2)


def combine(columns: Tensor, parts: Tensor) -> Tensor:
    """The sum of a matrix' columns, each times its part."""
    return ops.sum(columns * parts[..., None, :], axis=-1)


def outer(left: Tensor, right: Tensor) -> Tensor:
    return left[..., :, None] * right[..., None, :]


def dot(left: Tensor, right: Tensor) -> Tensor:
    return ops.sum(left * right, axis=-1, keepdims=True)


def unit(scores: Tensor, choose: Any) -> Tensor:
    """Unit vector of the index that `choose` picks."""
    index = choose(scores, axis=-1)
    return ops.one_hot(index, scores.shape[-1], dtype=scores.dtype)


def project(basis: Tensor, vector: Tensor) -> Tensor:
    """A^-1 on the active block, W W'."""
    return combine(basis, times(basis, vector))


def solve(matrix: Tensor, vector: Tensor, basis: Tensor) -> Tensor:
    """A x = b on the active variables, zero elsewhere.

    The residual corrects what rounding did to the basis.
    """
    solution = project(basis, vector)
    return solution + project(basis, vector - times(matrix, solution))


def advance(
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
    leaving = unit(share, ops.argmin)
    shortest = ops.min(share, axis=-1, keepdims=True)
    stopped = (point + shortest * (solution - point)) * (active - leaving)
    moved = ops.where(blocked, ops.maximum(stopped, 0.0), solution)
    return moved, leaving, blocked


def exchange(
    matrix: Tensor,
    basis: Tensor,
    active: Tensor,
    solution: Tensor,
    gain: Tensor,
    leaving: Tensor,
    blocked: Tensor,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Lets the variable out that stops the way, or the one in that gains most.

    Args:
        matrix: A.
        basis: W.
        active: Ones `[..., T]` for the active variables, zeros for others.
        solution: The best point of the active variables, `[..., T]`.
        gain: What each other variable gains by coming in, `[..., T]`.
        leaving: Unit vector of the variable that stops the way.
        blocked: Whether there is one, `[..., 1]`.
        tolerance: Up to which a gain is rounding, relative to the solution.

    Returns:
        Whether any problem of the batch moves, the new basis and the new
        active variables.
    """
    noise = tolerance * (1 + ops.max(solution, axis=-1, keepdims=True))
    falls = ops.max(gain, axis=-1, keepdims=True) > noise
    entering = unit(gain, ops.argmax) * ops.cast(falls, gain.dtype)
    basis = ops.where(
        blocked[..., None],
        shrink(basis, leaving),
        grow(matrix, basis, entering, tolerance),
    )
    active = active + ops.where(blocked, -leaving, entering)
    return ops.any(ops.logical_or(blocked, falls)), basis, active


def grow(
    matrix: Tensor, basis: Tensor, unit: Tensor, tolerance: float
) -> Tensor:
    """Lets a variable in: one Gram-Schmidt step in the metric of A.

    The new direction takes the variable's own column of the basis. A zero
    `unit` changes nothing.
    """
    column = times(matrix, unit)
    direction = unit - project(basis, column)
    square = dot(direction, times(matrix, direction))
    # A variable that depends on the active ones has no length left but
    # rounding; the floor keeps its direction finite.
    floor = tolerance * ops.maximum(dot(unit, column), tolerance)
    direction = direction / ops.sqrt(ops.maximum(square, floor))
    return basis + outer(direction, unit)


def shrink(basis: Tensor, unit: Tensor) -> Tensor:
    """Lets a variable out, by a rotation of the basis.

    Unlike a downdate of the inverse it loses no accuracy where the active
    block is nearly singular.
    """
    turned = reflect(basis, mirror_of(basis, unit))
    keep = 1 - unit
    return turned * outer(keep, keep)


def mirror_of(basis: Tensor, unit: Tensor) -> Tensor:
    """The reflection after which a variable's own column alone moves it."""
    row = times(basis, unit)
    own = dot(row, unit)
    length = ops.sqrt(dot(row, row))
    return row + ops.where(own < 0, -length, length) * unit


def reflect(columns: Tensor, mirror: Tensor) -> Tensor:
    """Turns the columns of a matrix into each other."""
    factor = 2.0 / divisor(dot(mirror, mirror))
    return columns - outer(factor * combine(columns, mirror), mirror)
