"""Bargains among tasks: weights times what each task gains are fixed."""

from keras import ops

from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.elimination import eliminate
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.solvers.matrices import normalize
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import cond
from keras_mtl.utils.loops import while_loop

MAX_TURNS = 100
# Of v. At a large alpha a task that gains much anyway has next to no weight.
LEAST = 1e-30


def bargaining_weights(
    gram: Tensor, alpha: float = 1.0, unit: Tensor | None = None
) -> Tensor:
    """Solves K w = w^(-1 / alpha) for w > 0.

    With p = 1 / alpha this is the minimum of the strictly convex
    w' K w / 2 - sum w^(1 - p) / (1 - p); for p = 1 the powers are logarithms.
    In terms of v = w D^(2 alpha / (1 + alpha)), D the norms of the gradients,
    the problem has cosines for inner products, and orthogonal gradients have
    v = 1 whatever their norms.

    Zero gradients take no part, and their weight is zero. Where a convex
    combination of the gradients vanishes (opposed gradients) no solution
    exists, for the weights grow without bound while the update shrinks. Cosines
    get epsilon sqrt(T) more on their diagonal, a bit above their rounding, so
    that weights stay finite: of unit gradients in float32 about 1e3 for
    alpha = 1, 1e6 for a large one. Where rounding turns out to be more, so that
    a task would gain nothing, it is 4 or 64 times that.

    Args:
        gram: Float tensor `[..., T, T]`.
        alpha: Above zero.
        unit: Float tensor `[...]`: the weights are those of gradients this
            times as long. None for one.

    Returns:
        Float tensor `[..., T]`. Its update is exact to rounding, times the
        condition number of the cosines.
    """
    size = gram.shape[-1]
    largest = divisor(ops.max(diagonal(gram), axis=-1, keepdims=True))
    gram = normalize(gram)
    norms = ops.sqrt(diagonal(gram))
    cosines, lengths = to_cosines(gram)
    matrix = _with_margin(cosines, epsilon_of(gram) * size**0.5)
    tilt = lengths ** ((1 - alpha) / (1 + alpha))
    tilt = tilt / ops.max(tilt, axis=-1, keepdims=True)
    degree = -alpha / (1 + alpha)
    scale = lengths ** (2 * degree) * largest**degree
    weights = _minimize(matrix, tilt, 1 / alpha)
    for more in (4, 64):
        wider = _with_margin(cosines, more * epsilon_of(gram) * size**0.5)
        weights = _retry(matrix, wider, tilt, weights, 1 / alpha)
        matrix = wider
    weights = weights * scale
    if unit is not None:
        # One after the other: both together may be out of range.
        factor = ops.cast(unit, gram.dtype)[..., None] ** degree
        weights = weights * factor * factor
    return ops.where(norms == 0, ops.zeros_like(weights), weights)


def _with_margin(cosines: Tensor, margin: float) -> Tensor:
    """Cosines with a diagonal a bit above one."""
    eye = ops.eye(cosines.shape[-1], dtype=cosines.dtype)
    return cosines * (1 - eye) + (1 + margin) * eye


def _retry(
    matrix: Tensor, wider: Tensor, tilt: Tensor, values: Tensor, power: float
) -> Tensor:
    """Solves once more, with more margin, where some task gains nothing.

    There rounding outweighs the margin, and the matrix is not positive
    definite.
    """
    gains = times(matrix, tilt * values)
    gained = ops.logical_and(gains > 0, ops.isfinite(gains))
    failed = ops.logical_not(ops.all(gained, axis=-1, keepdims=True))
    return cond(
        ops.any(failed),
        lambda: ops.where(failed, _minimize(wider, tilt, power), values),
        lambda: values,
    )


def _minimize(matrix: Tensor, tilt: Tensor, power: float) -> Tensor:
    """Solves A r v = r v^-p for v > 0, by Newton's method.

    Every turn takes the best multiple of v, and a Newton step in r v that is
    damped so that the objective falls from anywhere.

    Args:
        matrix: Positive definite float tensor `[..., T, T]`, diagonal near one.
        tilt: Float tensor `[..., T]`, r.
        power: p.

    Returns:
        Float tensor `[..., T]`, v.
    """
    eye = ops.eye(matrix.shape[-1], dtype=matrix.dtype)
    # Newton's method squares the error in its last step.
    tolerance = epsilon_of(matrix) ** 0.5

    def square(point):
        # Rounding must not make it negative where gradients cancel.
        least = epsilon_of(matrix) * _sum(point * point)
        return ops.maximum(_sum(point * times(matrix, point)), least)

    def turn(_, values):
        point = tilt * values
        gain = _sum(tilt * tilt * values ** (1 - power))
        values = values * (gain / square(point)) ** (1 / (1 + power))
        point = tilt * values
        slope = times(matrix, point) - tilt * values**-power
        curvature = power * values ** (-power - 1)
        hessian = matrix + curvature[..., None] * eye
        step = -eliminate(hessian, slope[..., None])[..., 0] / point
        # What rests at the bottom must not shorten the step of the others.
        stuck = ops.logical_and(values < 10 * LEAST, step < 0)
        step = ops.where(stuck, ops.zeros_like(step), step)
        step = 1 + _damping(step, power) * step
        moved = ops.maximum(values * step, LEAST)
        moves = ops.any(ops.abs(moved - values) > tolerance * values)
        return moves, moved

    return while_loop(
        lambda moves, _: moves,
        turn,
        (True, ops.ones_like(tilt)),
        maximum_iterations=MAX_TURNS,
    )[-1]


def _damping(step: Tensor, power: float) -> Tensor:
    """The share of a Newton step, relative to v, up to which descent is sure.

    With f the largest relative fall of an entry, the curvature grows along the
    share t at most by (1 - t f)^(-p - 1). Integrated, the slope stays downward
    up to t = (1 - (1 + p f)^(-1 / p)) / f: for p = 1 this is 1 / (1 + f), the
    damping of self-concordant functions. No entry loses more than 99 %, so that
    none is rounded to zero.
    """
    fall = ops.maximum(ops.max(-step, axis=-1, keepdims=True), 1e-12)
    sure = -ops.expm1(-ops.log1p(power * fall) / power)
    return ops.minimum(sure, 0.99) / fall


def _sum(vector: Tensor) -> Tensor:
    return ops.sum(vector, axis=-1, keepdims=True)
