"""One point of a front, where a table has room for one."""

from typing import Any

import numpy as np

from keras_mtl.pareto.non_dominated import front_of
from keras_mtl.pareto.points import Points
from keras_mtl.pareto.points import as_points
from keras_mtl.pareto.relative_change import delta_m


def middle_point(
    points: Any, maximize: Any = None, along: str | int | None = None
) -> int:
    """The middle of the front: half of it is better in a task, half is worse.

    The points that are not dominated are sorted from the best to the worst in
    the first task, each once where it is there several times. The middle one
    is the median; of an even number, the first of the two in the middle, so
    that it is a point that was trained, and the better one of the two in that
    task.

    Args:
        points: See `non_dominated`.
        maximize: See `non_dominated`.
        along: The task, or number of the column, to sort by. Needed with more
            than two tasks, where a front has no order of its own.

    Returns:
        int, the place of the point in `points`; of several that are equal, of
        the first.

    Raises:
        ValueError: As `non_dominated`, or if `along` is missing or no task.

    Example:

    >>> middle_point([[3, 1], [1, 3], [3, 3], [2, 2]])
    3
    """
    points = as_points(points, maximize)
    column = _column(points, along)
    front = front_of(points.costs)
    # Of two tasks, equal in one are equal in both. Of more, others decide.
    order = np.lexsort((*front.T[::-1], front[:, column]))
    middle = front[order[(len(front) - 1) // 2]]
    return int(np.argmax((points.costs == middle).all(axis=1)))


def best_mean(points: Any, maximize: Any = None, baselines: Any = None) -> int:
    """The point with the best mean over the tasks.

    Args:
        points: See `non_dominated`.
        maximize: See `non_dominated`.
        baselines: Dict from tasks to single-task baselines. With it the mean
            is that of relative improvements, `delta_m`: needed where larger
            is better in some tasks and smaller in others, and for tasks on
            different scales.

    Returns:
        int, the place of the point in `points`; of several, of the first.

    Raises:
        ValueError: As `non_dominated` and `delta_m`, or if directions are
            mixed and there are no baselines.

    Example:

    >>> best_mean([[0.9, 0.5], [0.8, 0.7]], maximize=True)
    1
    """
    points = as_points(points, maximize)
    if baselines is not None:
        return int(np.argmax(delta_m(points, baselines)))
    if len(set(points.maximize.tolist())) > 1:
        raise ValueError(
            "A mean mixes directions where larger is better in some tasks and "
            "smaller in others: give `baselines`, for the mean of relative "
            f"improvements. Received: maximize={points.maximize.tolist()} for "
            f"the tasks {points.tasks or 'without names'}"
        )
    return int(np.argmin(points.costs.mean(axis=1)))


def _column(points: Points, along: str | int | None) -> int:
    num_tasks = points.values.shape[1]
    if along is None and num_tasks <= 2:
        return 0
    known: list[Any] = list(range(num_tasks))
    if along in known and not isinstance(along, bool):
        return int(along)
    if points.tasks is not None and along in points.tasks:
        return points.tasks.index(along)
    raise ValueError(
        "`along` must be one of the tasks, by which the front is sorted: "
        f"{points.tasks or known}. Received: along={along!r}"
    )
