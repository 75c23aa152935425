"""The points that no other one is better than."""

from typing import Any

import numpy as np

from keras_mtl.pareto.points import as_points


def non_dominated(points: Any, maximize: Any = None) -> np.ndarray:
    """Says of each point whether it is on the Pareto front.

    A point dominates another one if it is at least as good in every task, and
    better in one. Points that are equal do not dominate each other: all of
    them are kept.

    Args:
        points: Array `[N, T]` of N points and T tasks; a dict from names of
            tasks to N values each; a sequence of N dicts from tasks to
            values; what `read_results` returns; or an Optuna study.
        maximize: Whether larger values are better: a bool for all tasks, a
            dict of bools by name, or a sequence of them in the order of the
            columns. By default as the points say (a study knows). Where
            neither they nor the name of a task says it, that is an error;
            columns without names are taken as losses: False. One bool for
            all is refused where the name of a task says otherwise,
            as `accuracy` does of False.

    Returns:
        bool array `[N]`.

    Raises:
        ValueError: If there are no points, if a value is not finite, or if
            the direction of a task is not clear.

    Example:

    >>> non_dominated([[1, 3], [2, 2], [3, 1], [3, 3]]).tolist()
    [True, True, True, False]
    """
    return of_costs(as_points(points, maximize).costs)


def of_costs(costs: np.ndarray) -> np.ndarray:
    """As `non_dominated`, of values `[N, T]` of which smaller are better."""
    # In lexicographic order, so that none is dominated by a later one.
    distinct, places = np.unique(costs, axis=0, return_inverse=True)
    kept = _of_two if costs.shape[1] == 2 else _of_several
    return kept(distinct)[places.reshape(-1)]


def _of_two(distinct: np.ndarray) -> np.ndarray:
    """One sweep: each is to be better in the second task than all before."""
    second = distinct[:, 1]
    kept = np.ones(len(distinct), bool)
    kept[1:] = second[1:] < np.minimum.accumulate(second)[:-1]
    return kept


def _of_several(distinct: np.ndarray) -> np.ndarray:
    kept = np.zeros(len(distinct), bool)
    left = np.arange(len(distinct))
    while left.size:
        kept[left[0]] = True
        # They are distinct: what is nowhere better is dominated.
        better = distinct[left] < distinct[left[0]]
        left = left[better.any(axis=1)]
    return kept


def front_of(costs: np.ndarray) -> np.ndarray:
    """The distinct costs `[M, T]` that are not dominated, in order."""
    return np.unique(costs[of_costs(costs)], axis=0)
