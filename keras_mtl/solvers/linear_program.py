"""Linear programmes over a simplex, small enough to be held as tables."""

from keras import ops

from keras_mtl.solvers.active_set import combine
from keras_mtl.solvers.active_set import dot
from keras_mtl.solvers.active_set import outer
from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.active_set import unit
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import while_loop

# What nothing that counts comes near, and whose quotients stay finite.
FAR = 1e30


def maximize_over_simplex(
    objective: Tensor, matrix: Tensor, bounds: Tensor, sizes: Tensor
) -> tuple[Tensor, Tensor]:
    """Maximises c . x over x >= 0 with p . x = 1 and A x <= b, for b >= 0.

    By the simplex method on a table. It starts at x = 0, where all holds but
    p . x = 1. First p . x is maximised, until it is 1, then c . x. Dantzig's
    rule lets a variable in, and of the rows that stop it first the one with the
    largest pivot goes out, which loses least to rounding. One residual corrects
    the last table. Nothing rules cycles out, so there is a limit of turns,
    several times what any of the tests takes.

    Args:
        objective: Float tensor `[..., T]`, c, of entries near one at most.
        matrix: Float tensor `[..., m, T]`, A, likewise.
        bounds: Float tensor `[..., m]`, b, from 0 up.
        sizes: Float tensor `[..., T]`, p, from 0 up to one. A variable whose
            column is zero altogether stays zero.

    Returns:
        x, float tensor `[..., T]`, and booleans `[..., 1]`: whether x satisfies
        all constraints, up to the square root of the rounding. Where not (there
        is no such point, or rounding leaves none) x means nothing.

    Reference:

    - Dantzig, Linear Programming and Extensions, 1963
    """
    start = _first_table(objective, matrix, bounds, sizes)
    table, basis = _turns(start)
    solution = _solution(start, table, basis)[..., : matrix.shape[-1]]
    solution = ops.maximum(solution, 0.0)
    total = dot(sizes, solution)
    accuracy = epsilon_of(table) ** 0.5
    excess = ops.sum(matrix * solution[..., None, :], axis=-1) - bounds
    largest = ops.max(solution, axis=-1, keepdims=True)
    holds = ops.all(excess <= accuracy * largest, axis=-1, keepdims=True)
    is_one = ops.abs(total - 1) <= accuracy
    return solution / divisor(total), ops.logical_and(holds, is_one)


def _first_table(
    objective: Tensor, matrix: Tensor, bounds: Tensor, sizes: Tensor
) -> Tensor:
    """Constraints, p . x <= 1, and the two objectives; a slack for each row.

    Returns:
        Float tensor `[..., m + 3, T + m + 2]`; the last column is the right
        hand side.
    """
    rows = matrix.shape[-2] + 1
    further = [row[..., None, :] for row in (sizes, sizes, objective)]
    left = ops.concatenate([matrix, *further], axis=-2)
    one = ops.ones_like(sizes[..., :1])
    right = ops.concatenate([bounds, one, 0 * one, 0 * one], axis=-1)
    slacks = ops.eye(rows + 2, rows, dtype=matrix.dtype)
    slacks = slacks + ops.zeros_like(right)[..., None]
    return ops.concatenate([left, slacks, right[..., None]], axis=-1)


def _turns(table: Tensor) -> tuple[Tensor, Tensor]:
    """Pivots until nothing gains.

    Returns:
        The table, and the basis `[..., m + 1, T + m + 1]`: a unit vector for
        each row, of the variable that it solves for.
    """
    rows, columns = table.shape[-2] - 2, table.shape[-1] - 1
    slacks = ops.eye(rows, columns, columns - rows, dtype=table.dtype)
    basis = slacks + ops.zeros_like(table[..., :rows, :1])
    return while_loop(
        lambda moves, *_: moves,
        lambda _, *state: _turn(*state),
        (True, table, basis),
        maximum_iterations=10 * columns,
    )[1:]


def _turn(table: Tensor, basis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One pivot: whether any table of the batch moves, and what comes of it."""
    rows = basis.shape[-2]
    gains = _gains(table, basis)
    entering = unit(gains, ops.argmax)
    column = combine(table[..., :-1], entering)
    leaving, is_stopped = _leaving(table[..., :rows, -1], column, basis)
    largest = ops.max(gains, axis=-1, keepdims=True)
    moves = ops.logical_and(largest > 64 * epsilon_of(table), is_stopped)
    exchanged = basis + outer(leaving, entering - times(basis, leaving))
    here = moves[..., None]
    table = ops.where(here, _pivoted(table, column, leaving), table)
    return ops.any(moves), table, ops.where(here, exchanged, basis)


def _is_first_phase(basis: Tensor) -> Tensor:
    """Whether p . x still has a slack, `[..., 1]`: it is below 1."""
    return basis[..., -1, -1:] > 0


def _gains(table: Tensor, basis: Tensor) -> Tensor:
    """What each variable gains by coming in: zero for those that may not.

    They are those that are in, and the slack of p . x, which stays out.
    """
    gains = ops.where(
        _is_first_phase(basis), table[..., -2, :-1], table[..., -1, :-1]
    )
    is_in = ops.any(basis > 0, axis=-2)
    is_last = ops.arange(basis.shape[-1]) == basis.shape[-1] - 1
    return ops.where(ops.logical_or(is_in, is_last), 0.0, gains)


def _leaving(
    right: Tensor, column: Tensor, basis: Tensor
) -> tuple[Tensor, Tensor]:
    """The row that stops the entering variable first: of equals, the safest.

    In the first phase that is the last one, which then is over.

    Returns:
        A unit vector `[..., m + 1]`, and whether any row stops it, `[..., 1]`.
    """
    rows = right.shape[-1]
    pivots = column[..., :rows]
    # All of a column may be small: that of a gradient far longer than others.
    largest = ops.max(pivots, axis=-1, keepdims=True)
    stops = pivots > 64 * epsilon_of(right) * ops.clip(largest, 0.0, 1.0)
    ways = ops.maximum(right / ops.where(stops, pivots, 1.0), 0.0)
    ways = ops.where(stops, ways, FAR)
    is_first = ways <= ops.min(ways, axis=-1, keepdims=True)
    is_last = ops.arange(rows) == rows - 1
    ends_phase = ops.logical_and(_is_first_phase(basis), is_last)
    safety = ops.where(ends_phase, FAR, pivots)
    leaving = unit(ops.where(is_first, safety, -FAR), ops.argmax)
    return leaving, ops.any(stops, axis=-1, keepdims=True)


def _pivoted(table: Tensor, column: Tensor, leaving: Tensor) -> Tensor:
    """Solves the leaving row for the entering variable, and eliminates it."""
    rows = leaving.shape[-1]
    leaving = ops.concatenate(
        [leaving, ops.zeros_like(column[..., rows:])], axis=-1
    )
    row = times(table, leaving) / divisor(dot(column, leaving))
    table = table - outer(column - leaving, row)
    # Rounding leaves a bit below zero where variables are zero.
    right = table[..., :rows, -1:]
    right = ops.concatenate(
        [ops.maximum(right, 0.0), table[..., rows:, -1:]], axis=-2
    )
    return ops.concatenate([table[..., :-1], right], axis=-1)


def _solution(start: Tensor, table: Tensor, basis: Tensor) -> Tensor:
    """All variables `[..., T + m + 1]`, of the last basis.

    The columns of the slacks are the inverse of the basis: the residual
    corrects what turns have rounded.
    """
    rows = basis.shape[-2]
    inverse = table[..., :rows, -1 - rows : -1]
    values = table[..., :rows, -1]
    found = combine(start[..., :rows, :-1], times(basis, values))
    values = values + combine(inverse, start[..., :rows, -1] - found)
    return times(basis, values)
