"""The update near the mean gradient under which the worst task gains most."""

from keras import ops

from keras_mtl.solvers import least_squares
from keras_mtl.solvers.active_set import advance
from keras_mtl.solvers.active_set import dot
from keras_mtl.solvers.active_set import exchange
from keras_mtl.solvers.active_set import grow
from keras_mtl.solvers.active_set import solve
from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.active_set import unit
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.pivoted_cholesky import pivoted_cholesky
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import cond
from keras_mtl.utils.loops import while_loop


def conflict_averse_weights(gram: Tensor, c: float) -> Tensor:
    """Maximises min_t g_t . d over |d - g0| <= c |g0|, g0 the mean, exactly.

    Its dual minimises F(w) = g0 . g_w + c |g0| |g_w| over the simplex, where
    g_w = sum_t w_t g_t, and d = g0 + c |g0| g_w / |g_w|. F is convex and
    homogeneous, and its minimum over the weights of a set of active tasks,
    signs aside, has a closed form. So the active-set method that solves
    nonnegative quadratic problems solves this one, with the closed form in
    place of the linear solve: F falls with every turn, and the number of turns
    is finite. It works on unit gradients, so that norms far apart cost no
    accuracy.

    Zero gradients count in the mean alone: no d can make them gain. Where some
    g_w vanishes, F may have its minimum there, and no d gains anything. Cosines
    get 2 epsilon sqrt(T) more on their diagonal, a bit above their rounding, so
    that such weights stay finite; d is then the nearest to g0 without conflict.

    Args:
        gram: Float tensor `[..., T, T]`.
        c: Radius of the ball, relative to |g0|; not negative.

    Returns:
        Float tensor `[..., T]`: 1 / T + c |g0| w / |g_w|. After 3 T + 5 turns
        the best found so far.

    Reference:

    - Lawson and Hanson, Solving least squares problems, 1974
    """
    size = gram.shape[-1]
    gram = normalize(gram)
    norms = ops.sqrt(diagonal(gram))
    cosines, lengths = to_cosines(gram)
    inverse = ops.min(lengths, axis=-1, keepdims=True) / lengths
    means = ops.mean(gram, axis=-1)
    square = ops.mean(means, axis=-1, keepdims=True)
    radius = c * ops.sqrt(ops.maximum(square, 0.0))
    # Of the single tasks the one of least F.
    worst = ops.where(norms == 0, float("inf"), means + radius * norms)
    margin = 2 * epsilon_of(gram) * size**0.5
    matrix = cosines + margin * ops.eye(size, dtype=gram.dtype)
    problem = (
        means / lengths,
        inverse,
        radius,
        unit(worst, ops.argmin),
        ops.cast(norms != 0, gram.dtype),
    )
    pushes, failed = _pushes(matrix, *problem)

    def retry():
        factor = pivoted_cholesky(cosines, 2 * epsilon_of(gram))
        apart = margin**0.5 * ops.eye(size, dtype=gram.dtype)
        vectors = ops.concatenate([factor, ops.zeros_like(factor) + apart], -2)
        found = _pushes_of_vectors(matrix, vectors, *problem)
        return ops.where(failed, found, pushes)

    pushes = cond(ops.any(failed), retry, lambda: pushes)
    return 1 / size + pushes / lengths


def _pushes(
    matrix: Tensor,
    means: Tensor,
    inverse: Tensor,
    radius: Tensor,
    first: Tensor,
    eligible: Tensor,
) -> tuple[Tensor, Tensor]:
    """What is added to the mean gradient, in unit gradients.

    Args:
        matrix: Cosines, float tensor `[..., T, T]`.
        means: Float tensor `[..., T]`, unit gradients times the mean gradient.
        inverse: Float tensor `[..., T]`, multiples of one over the norms.
        radius: Float tensor `[..., 1]`.
        first: Unit vector `[..., T]` of the task to start with.
        eligible: Float tensor `[..., T]`, zero for tasks that stay out.

    Returns:
        Float tensor `[..., T]`, nonnegative, and whether it is not to be
        relied on, `[..., 1]`, as gradients depend on each other.
    """
    size = matrix.shape[-1]
    tolerance = 4 * epsilon_of(matrix) * size**0.5

    def turn(_, basis, active, point, best):
        solution, level = _solve_active(matrix, means, inverse, radius, basis)
        point, leaving, blocked = advance(point, solution, active)
        best = ops.where(blocked, best, solution)
        # How far each task falls short of the gain of the active ones.
        short = level * inverse - means - times(matrix, solution)
        short = short * (1 - active) * eligible
        moves, basis, active = exchange(
            matrix, basis, active, solution, short, leaving, blocked, tolerance
        )
        return moves, basis, active, point, best

    zeros = ops.zeros_like(means)
    basis = grow(matrix, ops.zeros_like(matrix), first, tolerance)
    _, basis, *_, best = while_loop(
        lambda moves, *_: moves,
        turn,
        (True, basis, first, zeros, zeros),
        maximum_iterations=3 * size + 5,
    )
    # One over this is about the distance of a gradient from the others.
    reach = ops.max(ops.abs(basis), axis=(-2, -1))[..., None]
    return best, reach > epsilon_of(matrix) ** -0.25


def _pushes_of_vectors(
    matrix: Tensor,
    vectors: Tensor,
    means: Tensor,
    inverse: Tensor,
    radius: Tensor,
    first: Tensor,
    eligible: Tensor,
) -> Tensor:
    """The same for gradients that may depend on each other.

    The basis is made of vectors with these inner products.
    """
    size = matrix.shape[-1]
    tolerance = 4 * epsilon_of(matrix) * size**0.5

    def turn(_, active, point, best):
        solution, level = _solve_active(
            matrix, means, inverse, radius, active.makers
        )
        point, leaving, blocked = advance(point, solution, active.members)
        best = ops.where(blocked, best, solution)
        short = level * inverse - means - times(matrix, solution)
        noise = tolerance * (1 + ops.max(solution, axis=-1, keepdims=True))
        moves, active = least_squares.exchange(
            vectors, active, short * eligible, noise, leaving, blocked
        )
        return moves, active, point, best

    zeros = ops.zeros_like(means)
    start = least_squares.grow(least_squares.nobody(vectors), vectors, first)
    return while_loop(
        lambda moves, *_: moves,
        turn,
        (True, start, zeros, zeros),
        maximum_iterations=6 * size + 10,
    )[-1]


def _solve_active(
    matrix: Tensor,
    means: Tensor,
    inverse: Tensor,
    radius: Tensor,
    basis: Tensor,
) -> tuple[Tensor, Tensor]:
    """The best point of the active tasks, signs aside.

    There all of them gain the same, the level: A x = level * inverse - means.
    So x moves on a line with the level; `foot` is its shortest point, and
    `ahead`, orthogonal to it, has length one in the metric of A. The point is
    where the line leaves the ball. If it misses the ball, F has no minimum on
    the plane and falls without end towards the foot, whose weights sum to zero:
    as some are negative, they stop the way there.

    Returns:
        The point `[..., T]` and the level `[..., 1]`.
    """
    line = solve(matrix, inverse, basis)
    start = solve(matrix, means, basis)
    square = divisor(ops.maximum(dot(inverse, line), 0.0))
    lowest = dot(inverse, start) / square
    foot = lowest * line - start
    inside = radius * radius - dot(foot, times(matrix, foot))
    ahead = ops.sqrt(ops.maximum(inside, 0.0) / square)
    return foot + ahead * line, lowest + ahead
