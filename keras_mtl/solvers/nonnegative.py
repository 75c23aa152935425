"""Small nonnegative quadratic problems, solved on the device."""

from typing import Any

from keras import ops

from keras_mtl.solvers.gram import diagonal


def nonnegative_quadratic(matrix: Any, vector: Any) -> Any:
    """Minimises (1/2) x' A x - b' x over x >= 0.

    The active-set method of Lawson and Hanson, batched, with fixed shapes:
    each turn of the loop lets one variable in or out. The inverse of the
    active block is updated by a rank-one term, and each solution is refined
    once with it, so that rounding does not build up.

    Args:
        matrix: Positive semidefinite float tensor `[..., T, T]`.
        vector: Float tensor `[..., T]`.

    Returns:
        Float tensor `[..., T]`. If the problem is unbounded, or beyond 3 T + 5
        turns, the last feasible iterate.
    """
    size = matrix.shape[-1]
    epsilon = 2.0**-52 if "64" in str(matrix.dtype) else 2.0**-23
    scale = diagonal(matrix)
    tolerance = 4 * epsilon * size**0.5

    def times(a, x):
        return ops.sum(a * x[..., None, :], axis=-1)

    def unit(index):
        return ops.one_hot(index, size, dtype=matrix.dtype)

    def refine(inverse, active):
        x = times(inverse, vector)
        return x + times(inverse, active * (vector - times(matrix, x)))

    def turn(_, inverse, active, best):
        x = refine(inverse, active)
        # Out: the first active variable to reach zero on the way from the
        # last feasible point to the solution on the active set.
        leaving = (active > 0) & (x <= 0)
        distance = ops.where(leaving, best - x, ops.ones_like(x))
        distance = ops.where(distance > 0, distance, ops.ones_like(x))
        length = ops.where(leaving, best / distance, 2 * ops.ones_like(x))
        shortest = ops.min(length, axis=-1, keepdims=True)
        out = unit(ops.argmin(length, axis=-1))
        blocked = ops.any(leaving, axis=-1, keepdims=True)
        moved = best + ops.minimum(shortest, 1.0) * (x - best)
        moved = ops.where(blocked, moved * (1 - out), x)
        moved = ops.maximum(moved * active, 0.0)
        # In: the variable along which the objective falls fastest.
        slope = (vector - times(matrix, x)) * (1 - active)
        enter = unit(ops.argmax(slope, axis=-1))
        falls = ops.max(slope, axis=-1, keepdims=True) > tolerance
        change = ops.where(blocked, out, enter)
        # Rank-one change of the inverse of the active block.
        column = times(matrix, change) * active
        bordered = times(inverse, column) - change
        pivot = ops.sum(change * scale, axis=-1, keepdims=True) - ops.sum(
            column * (bordered + change), axis=-1, keepdims=True
        )
        pivot = ops.maximum(pivot, tolerance)
        removed = times(inverse, change)
        corner = ops.sum(removed * change, axis=-1, keepdims=True)
        vector_ = ops.where(blocked, removed, bordered)
        factor = ops.where(
            blocked, -1 / ops.where(blocked, corner, 1.0), 1 / pivot
        )
        go = blocked | falls
        factor = ops.where(go, factor, 0.0)
        updated = inverse + factor[..., None] * (
            vector_[..., :, None] * vector_[..., None, :]
        )
        new_active = ops.where(blocked, active - out, active + enter)
        new_active = ops.where(go, new_active, active)
        mask = new_active[..., :, None] * new_active[..., None, :]
        return ops.any(go), updated * mask, new_active, moved

    state = (
        True,
        ops.zeros_like(matrix),
        ops.zeros_like(vector),
        ops.zeros_like(vector),
    )
    state = ops.while_loop(
        lambda go, *_: go, turn, state, maximum_iterations=3 * size + 5
    )
    return state[-1]
