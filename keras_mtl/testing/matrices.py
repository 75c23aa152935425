"""A zoo of task gradients that methods must cope with."""

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

NUM_TASKS = (2, 3, 8)


def jacobians(
    num_tasks: Sequence[int] = NUM_TASKS, seed: int = 0
) -> dict[str, np.ndarray]:
    """Jacobians that real training produces, ordinary and degenerate.

    Args:
        num_tasks: Numbers of tasks to make them for.
        seed: Seed of the random entries.

    Returns:
        float32 arrays `[T, n]`, a task a row, by readable names such as
        `"opposed_3"`: kind and number of tasks.

    Example:

    >>> sorted(jacobians(num_tasks=[2]))[:3]
    ['agreeing_2', 'all_zero_2', 'dominated_2']
    """
    rng = np.random.default_rng(seed)
    return {
        f"{kind}_{size}": make(rng, size).astype("float32")
        for size in num_tasks
        for kind, make in KINDS.items()
    }


def _normal(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal((size, 2 * size))


def _square(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal((size, size))


def _agreeing(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.abs(_normal(rng, size))


def _conflicting(rng: np.random.Generator, size: int) -> np.ndarray:
    """Every pair conflicts; the sum of all is close to zero."""
    rows = np.eye(size, 2 * size) + 0.01 * _normal(rng, size)
    return rows - 0.99 * rows.mean(axis=0)


def _nearly_equal(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal((1, 2 * size)) + 1e-3 * _normal(rng, size)


def _rank_deficient(rng: np.random.Generator, size: int) -> np.ndarray:
    rank = max(1, size // 2)
    left = rng.standard_normal((size, rank))
    return left @ rng.standard_normal((rank, 2 * size))


def _duplicate(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = _normal(rng, size)
    rows[-1] = rows[0]
    return rows


def _opposed(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = _normal(rng, size)
    rows[-1] = -rows[0]
    return rows


def _dominated(rng: np.random.Generator, size: int) -> np.ndarray:
    """All gradients along one ray: the shortest is the least-norm point."""
    direction = rng.standard_normal((1, 2 * size))
    return direction * np.arange(1, size + 1)[:, None]


def _one_zero(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = _normal(rng, size)
    rows[0] = 0
    return rows


def _all_zero(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.zeros((size, 2 * size))


def _uneven(rng: np.random.Generator, size: int) -> np.ndarray:
    """Norms that differ by 1e4."""
    return _normal(rng, size) * np.logspace(-2, 2, size)[:, None]


def _tiny(rng: np.random.Generator, size: int) -> np.ndarray:
    return 1e-15 * _normal(rng, size)


def _huge(rng: np.random.Generator, size: int) -> np.ndarray:
    return 1e15 * _normal(rng, size)


def _few_coordinates(rng: np.random.Generator, size: int) -> np.ndarray:
    """More tasks than coordinates that move; one shape compiles for all."""
    rows = _normal(rng, size)
    rows[:, max(1, size // 2) :] = 0
    return rows


def _one_line(rng: np.random.Generator, size: int) -> np.ndarray:
    """Of rank one, in both directions."""
    rows = rng.standard_normal((size, 1)) * rng.standard_normal((1, 2 * size))
    rows[-1] = -0.7 * rows[0]
    return rows


def _one_dependent(rng: np.random.Generator, size: int) -> np.ndarray:
    """One gradient is a combination of all others: the rank is T - 1."""
    rows = _normal(rng, size)
    rows[-1] = rng.standard_normal(size - 1) @ rows[:-1]
    return rows


def _surrounding(rng: np.random.Generator, size: int) -> np.ndarray:
    """Zero lies inside the hull: no update serves all tasks."""
    rows = _normal(rng, size)
    rows[-1] = -rng.uniform(0.5, 2.0, size - 1) @ rows[:-1]
    return rows


def _nearly_opposed(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = _opposed(rng, size)
    rows[-1] = 0.5 * rows[-1] + 1e-4 * rng.standard_normal(2 * size)
    return rows


def _nearly_dependent(rng: np.random.Generator, size: int) -> np.ndarray:
    return _rank_deficient(rng, size) + 1e-4 * _normal(rng, size)


KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": _normal,
    "square": _square,
    "agreeing": _agreeing,
    "conflicting": _conflicting,
    "nearly_equal": _nearly_equal,
    "rank_deficient": _rank_deficient,
    "duplicate": _duplicate,
    "opposed": _opposed,
    "dominated": _dominated,
    "one_zero": _one_zero,
    "all_zero": _all_zero,
    "uneven": _uneven,
    "tiny": _tiny,
    "huge": _huge,
    "few_coordinates": _few_coordinates,
    "one_line": _one_line,
    "one_dependent": _one_dependent,
    "surrounding": _surrounding,
    "nearly_opposed": _nearly_opposed,
    "nearly_dependent": _nearly_dependent,
}
