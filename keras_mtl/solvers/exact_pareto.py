"""Weights that lead the losses to a ray, and along it down to the front."""

from typing import NamedTuple
from typing import TypeAlias

from keras import ops

from keras_mtl.solvers.absent_tasks import stand_aside
from keras_mtl.solvers.active_set import outer
from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.linear_program import FAR
from keras_mtl.solvers.linear_program import maximize_over_simplex
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.min_norm import min_norm_weights
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import cond


class Place(NamedTuple):
    """Where losses are, as seen from a ray.

    Attributes:
        non_uniformity: Float tensor `[1]`: KL(r l / sum(r l) || 1 / T), zero on
            the ray.
        anchors: Float tensor `[T]`, proportional to its derivatives by the
            losses.
        is_worst: Booleans `[T]`: whose r l is the largest.
    """

    non_uniformity: Tensor
    anchors: Tensor
    is_worst: Tensor


# What `maximize_over_simplex` takes first: objective, matrix, bounds.
Program: TypeAlias = tuple[Tensor, Tensor, Tensor]


def exact_pareto_weights(
    gram: Tensor,
    losses: Tensor,
    preference: Tensor,
    tolerance: float,
    present: Tensor | None = None,
) -> Tensor:
    """Task weights w >= 0, sum w = 1, of Exact Pareto Optimal search.

    The programmes are solved for unit gradients x = w D / min(D), a change of
    variables after which all of their entries are of size one, whatever the
    norms D: so that one tolerance fits. Where a programme has no solution, or
    rounding leaves none, the weights are those of `min_norm_weights`.

    Args:
        gram: Float tensor `[..., T, T]`.
        losses: Float tensor `[T]`. Those below zero count as zero.
        preference: Float tensor `[T]`, r, from zero up. A task with zero takes
            no part.
        tolerance: Non-uniformity up to which losses are on the ray.
        present: Boolean tensor `[T]`, false for tasks that take no part.

    Returns:
        Float tensor `[..., T]`.
    """
    takes_part = preference > 0
    if present is not None:
        takes_part = ops.logical_and(takes_part, present)
    counted = ops.cast(takes_part, gram.dtype)
    place = locate(losses, preference * counted)
    gram = normalize(gram)
    cosines, lengths = to_cosines(gram * outer(counted, counted))
    balance = _balance(cosines, lengths, place)
    descent = _descent(cosines, lengths, place, takes_part)
    is_off = place.non_uniformity > tolerance
    program = (
        ops.where(is_off, *either)
        for either in zip(balance, descent, strict=True)
    )
    inverse = ops.min(lengths, axis=-1, keepdims=True) / lengths * counted
    solution, solved = maximize_over_simplex(*program, inverse)
    weights = solution * inverse

    def repaired() -> Tensor:
        shortest = min_norm_weights(stand_aside(gram, takes_part))
        return ops.where(solved, weights, shortest)

    return cond(ops.all(solved), lambda: weights, repaired)


def locate(losses: Tensor, preference: Tensor) -> Place:
    """How far losses are from where r l is equal for all tasks with r > 0.

    The authors leave shares below the rounding out of the sum; here they are
    raised to it, so that logarithms are finite.
    """
    counted = ops.cast(preference > 0, preference.dtype)
    count = divisor(ops.sum(counted))
    preference = preference / divisor(ops.norm(preference))
    losses = ops.maximum(losses, 0.0)
    relative = preference * (losses / divisor(ops.max(losses)))
    total = ops.sum(relative)
    shares = ops.where(total > 0, relative / divisor(total), counted / count)
    least = epsilon_of(shares)
    logs = ops.log(ops.maximum(shares, least) * count)
    mean = ops.sum(shares * logs, axis=-1, keepdims=True)
    # On the ray there is nothing but rounding, which leads nowhere.
    ahead = ops.where(ops.abs(logs - mean) > 16 * least, logs - mean, 0.0)
    largest = ops.max(relative)
    return Place(
        ops.maximum(mean, 0.0),
        preference * ahead,
        relative >= largest * (1 - 8 * least),
    )


def _balance(cosines: Tensor, lengths: Tensor, place: Place) -> Program:
    """Towards the ray as fast as can be, while the worst loss does not rise.

    Where the anchors' direction lets a loss fall, that loss is free; no other
    one rises by more than along that direction. Where it lets none fall, none
    may rise.
    """
    along, size = _along_anchors(cosines, lengths, place)
    falls = along > 4 * cosines.shape[-1] * epsilon_of(cosines)
    some = ops.any(falls, axis=-1, keepdims=True)
    may_rise = ops.logical_and(some, ops.logical_not(place.is_worst))
    shortest = ops.min(lengths, axis=-1, keepdims=True)
    rises = ops.maximum(-along, 0.0) * (size / shortest)
    bounds = ops.where(may_rise, rises, 0.0)
    free = ops.logical_and(may_rise, falls)
    matrix = ops.where(free[..., None], 0.0, -cosines)
    # Descent has a row more: here it says nothing.
    return _with_row(along, matrix, bounds, 0 * along, ops.ones_like(size))


def _descent(
    cosines: Tensor, lengths: Tensor, place: Place, takes_part: Tensor
) -> Program:
    """All losses down as fast as can be in sum, none up, and along the ray."""
    along, _ = _along_anchors(cosines, lengths, place)
    shortest = ops.min(lengths, axis=-1, keepdims=True)
    total = ops.sum(lengths, axis=-1, keepdims=True)
    objective = times(cosines, lengths) / total
    best = ops.where(takes_part, along * (lengths / shortest), -FAR)
    best = ops.max(best, axis=-1, keepdims=True)
    # A single point may be all that is left: rounding must not cut it off.
    bound = ops.maximum(-best, 0.0) * (1 + 64 * epsilon_of(cosines))
    return _with_row(objective, -cosines, 0 * along, -along, bound)


def _along_anchors(
    cosines: Tensor, lengths: Tensor, place: Place
) -> tuple[Tensor, Tensor]:
    """How the anchors' direction goes along each unit gradient.

    Returns:
        Float tensors: `[..., T]`, relative to the sum of the lengths of what
        the direction is made of, and that sum `[..., 1]`.
    """
    parts = lengths * place.anchors
    size = ops.sum(ops.abs(parts), axis=-1, keepdims=True)
    return times(cosines, parts / divisor(size)), size


def _with_row(
    objective: Tensor,
    matrix: Tensor,
    bounds: Tensor,
    row: Tensor,
    bound: Tensor,
) -> Program:
    matrix = ops.concatenate([matrix, row[..., None, :]], axis=-2)
    return objective, matrix, ops.concatenate([bounds, bound], axis=-1)
