"""Nonnegative least squares of vectors that may depend on each other."""

from typing import NamedTuple

from keras import ops

from keras_mtl.solvers.active_set import advance
from keras_mtl.solvers.active_set import combine
from keras_mtl.solvers.active_set import dot
from keras_mtl.solvers.active_set import mirror_of
from keras_mtl.solvers.active_set import outer
from keras_mtl.solvers.active_set import reflect
from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.active_set import unit
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import while_loop


class Active(NamedTuple):
    """The active vectors.

    Attributes:
        basis: Orthonormal columns `[..., R, T]`, one for each active vector.
        makers: `[..., T, T]`, the coefficients of the vectors that make them.
        members: Ones `[..., T]` for active vectors, zeros for others.
        dependent: Ones `[..., T]` for what was found to lie in their span.
    """

    basis: Tensor
    makers: Tensor
    members: Tensor
    dependent: Tensor


def nonnegative_least_squares(vectors: Tensor, target: Tensor) -> Tensor:
    """Minimises |V x - t| over x >= 0.

    The active-set method of Lawson and Hanson with fixed shapes, as in
    `nonnegative_quadratic`, on the vectors themselves: the gap t - V x is
    found as what is orthogonal to the active vectors, and not by way of x. So
    it is right to rounding even where x is not known well, and what the other
    vectors gain by coming in is compared with the rounding of t alone.

    Args:
        vectors: Float tensor `[..., R, T]`, V: columns of length one at most,
            or near it.
        target: Float tensor `[..., R]`, t.

    Returns:
        Float tensor `[..., T]`; after 6 T + 10 turns the best so far.

    Reference:

    - Lawson and Hanson, Solving least squares problems, 1974
    """
    size = vectors.shape[-1]
    rounding = 4 * epsilon_of(vectors)
    noise = rounding * size**0.5 * ops.sqrt(dot(target, target))

    def turn(_, active, point):
        solution, gap = _solve(active, target)
        point, leaving, blocked = advance(point, solution, active.members)
        gain = times(vectors, gap)
        moves, active = exchange(vectors, active, gain, noise, leaving, blocked)
        return moves, active, point

    start = nobody(vectors)
    return while_loop(
        lambda moves, *_: moves,
        turn,
        (True, start, start.members),
        maximum_iterations=6 * size + 10,
    )[-1]


def nobody(vectors: Tensor) -> Active:
    """The start: no vector is active."""
    none = ops.zeros_like(vectors[..., 0, :])
    return Active(ops.zeros_like(vectors), outer(none, none), none, none)


def exchange(
    vectors: Tensor,
    active: Active,
    gain: Tensor,
    noise: Tensor,
    leaving: Tensor,
    blocked: Tensor,
) -> tuple[Tensor, Active]:
    """Lets the vector out that stops the way, or the one in that gains most.

    Args:
        vectors: V.
        active: The active vectors.
        gain: What each vector gains by coming in, `[..., T]`.
        noise: Up to which a gain is rounding, `[..., 1]`.
        leaving: Unit vector of the vector that stops the way.
        blocked: Whether there is one, `[..., 1]`.

    Returns:
        Whether any problem of the batch moves, and the new active vectors.
    """
    gain = gain * (1 - active.members) * (1 - active.dependent)
    falls = ops.max(gain, axis=-1, keepdims=True) > noise
    entering = unit(gain, ops.argmax) * ops.cast(falls, gain.dtype)
    grown, shrunk = grow(active, vectors, entering), _shrink(active, leaving)
    table = blocked[..., None]
    active = Active(
        ops.where(table, shrunk.basis, grown.basis),
        ops.where(table, shrunk.makers, grown.makers),
        ops.where(blocked, shrunk.members, grown.members),
        ops.where(blocked, shrunk.dependent, grown.dependent),
    )
    return ops.any(ops.logical_or(blocked, falls)), active


def grow(active: Active, vectors: Tensor, unit: Tensor) -> Active:
    """Lets a vector in, unless it depends on the active ones.

    Gram-Schmidt, twice, which is enough. A zero `unit` changes nothing.
    """
    direction = combine(vectors, unit)
    square = dot(direction, direction)
    maker = unit
    for _ in range(2):
        parts = times(active.basis, direction)
        direction = direction - combine(active.basis, parts)
        maker = maker - combine(active.makers, parts)
    left = dot(direction, direction)
    # One over its length is about the weight that the vector would get. Below
    # this, more would be rounded away with such a weight than is gained.
    enters = left > 4 * epsilon_of(left) * square
    length = ops.sqrt(ops.where(enters, left, 1.0))
    column = unit * ops.cast(enters, unit.dtype)
    return Active(
        active.basis + outer(direction / length, column),
        active.makers + outer(maker / length, column),
        active.members + column,
        active.dependent + unit - column,
    )


def _shrink(active: Active, unit: Tensor) -> Active:
    """Lets a vector out; what was dependent may no longer be."""
    mirror = mirror_of(active.makers, unit)
    keep = 1 - unit
    return Active(
        reflect(active.basis, mirror) * keep[..., None, :],
        reflect(active.makers, mirror) * outer(keep, keep),
        active.members - unit,
        ops.zeros_like(unit),
    )


def _solve(active: Active, target: Tensor) -> tuple[Tensor, Tensor]:
    """The best x of the active vectors, signs aside, and t - V x.

    The second time takes out what rounding left the first time.
    """
    parts = times(active.basis, target)
    gap = target - combine(active.basis, parts)
    rest = times(active.basis, gap)
    gap = gap - combine(active.basis, rest)
    return combine(active.makers, parts + rest), gap
