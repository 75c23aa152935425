"""How much a front dominates."""

from typing import Any

import numpy as np

from keras_mtl.pareto.by_task import numbers_by_task
from keras_mtl.pareto.by_task import task_name
from keras_mtl.pareto.non_dominated import of_costs
from keras_mtl.pareto.optional import import_optional
from keras_mtl.pareto.points import Points
from keras_mtl.pareto.points import as_fronts
from keras_mtl.pareto.points import as_points
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import number_from_zero


def hypervolume(
    points: Any,
    reference: Any,
    maximize: Any = None,
    ignore_beyond: bool = False,
) -> float:
    """The volume between the points and a reference point.

    It is the volume of all that some point dominates and that itself
    dominates the reference: the larger, the better is the front. Its unit is
    the product of the units of the tasks. Compare fronts with one reference;
    it says how much the ends of a front count. moocore computes it, exactly.

    Args:
        points: See `non_dominated`.
        reference: A point that is at least as bad as the front in every task:
            a dict by name of task, a sequence in the order of the columns, or
            one number for all. `reference_point` finds one for several fronts.
        maximize: See `non_dominated`.
        ignore_beyond: Whether a point that is worse than the reference in
            some task adds nothing, as where single-task baselines are the
            reference. By default it is an error, because a front loses its
            ends so.

    Returns:
        float, from 0 up.

    Raises:
        ImportError: If moocore is not installed.
        ValueError: If a non-dominated point is worse than the reference in
            some task, or if the points are not as `non_dominated` wants them.

    Example:

    >>> hypervolume([[1, 3], [2, 2], [3, 1]], reference=[4, 4])
    6.0
    >>> hypervolume({"left": [0.75, 0.5], "right": [0.5, 0.75]},
    ...             {"left": 0.25, "right": 0.25}, maximize=True)
    0.1875

    References:

    - Zitzler and Thiele, "Multiobjective evolutionary algorithms: a
      comparative case study and the strength Pareto approach", 1999
    - [moocore](https://multi-objective.github.io/moocore/python/), licensed
      under the LGPL
    """
    points = as_points(points, maximize)
    corner = reference_costs(points, reference)
    if not boolean("ignore_beyond", ignore_beyond):
        refuse_inside(points, corner)
    return volume(points.costs, corner)


def hypervolume_contributions(
    points: Any,
    reference: Any,
    maximize: Any = None,
    ignore_beyond: bool = False,
) -> np.ndarray:
    """What each point alone adds to the hypervolume.

    That is what `hypervolume` loses without the point, among those that are
    not dominated. A point that is dominated, or is there twice, adds nothing.

    Args:
        points: See `non_dominated`.
        reference: See `hypervolume`.
        maximize: See `non_dominated`.
        ignore_beyond: See `hypervolume`.

    Returns:
        float array `[N]`, from 0 up.

    Raises:
        ImportError: If moocore is not installed.
        ValueError: As `hypervolume`.

    Example:

    >>> hypervolume_contributions([[1, 3], [2, 2], [3, 3]], [4, 4]).tolist()
    [1.0, 2.0, 0.0]
    """
    points = as_points(points, maximize)
    corner = reference_costs(points, reference)
    if not boolean("ignore_beyond", ignore_beyond):
        refuse_inside(points, corner)
    # Of all: where this fits a float, so does what each adds.
    volume(points.costs, corner)
    if points.values.shape[1] == 1:
        # Which moocore refuses; the best one alone adds something.
        best = np.flatnonzero(points.costs[:, 0] == points.costs.min())
        second = np.append(np.delete(points.costs[:, 0], best[0]), corner).min()
        found = np.zeros(len(points))
        found[best[0]] = max(0.0, second - points.costs.min())
        return found
    return _import_moocore().hv_contributions(points.costs, corner)


def reference_point(
    fronts: Any, maximize: Any = None, margin: float = 0.1
) -> Any:
    """A reference for `hypervolume` that is worse than all points.

    Of each task it is the worst value of any point, and beyond that a part of
    the range from the best to the worst. Fronts that are to be compared need
    one reference: give all of them.

    Args:
        fronts: Points (see `non_dominated`), or a dict from labels to points.
        maximize: See `non_dominated`.
        margin: float, from 0 up. The part of the range. Where all values of a
            task are the same, that part of the value (of 1, if it is 0).

    Returns:
        A dict from tasks to floats; a list, where they have no names.

    Raises:
        ValueError: As `non_dominated`.

    Example:

    >>> reference_point([[1, 30], [3, 10]], margin=0.5)
    [4.0, 40.0]
    """
    margin = number_from_zero("margin", margin)
    fronts = as_fronts(fronts, maximize)
    first = next(iter(fronts.values()))
    costs = np.concatenate([points.costs for points in fronts.values()])
    worst = costs.max(axis=0)
    with np.errstate(over="ignore"):
        spread = worst - costs.min(axis=0)
    spread = np.where(spread == 0, np.abs(worst), spread)
    with np.errstate(over="ignore"):
        corner = worst + margin * np.where(spread == 0, 1.0, spread)
    if not np.isfinite(corner).all():
        raise ValueError(
            "The reference point is too large for a float. Give values in "
            f"another unit. Received: a range of {spread.tolist()}"
        )
    values = np.where(first.maximize, -corner, corner).tolist()
    if first.tasks is None:
        return values
    return dict(zip(first.tasks, values, strict=True))


def reference_costs(points: Points, reference: Any) -> np.ndarray:
    """The reference `[T]`, turned as the costs of the points are."""
    values = numbers_by_task(
        "reference", reference, points.tasks, points.values.shape[1]
    )
    return np.where(points.maximize, -values, values)


def refuse_inside(points: Points, corner: np.ndarray) -> None:
    """Raises if the reference is better in a task than a point of the front.

    Such a point would add nothing, and the front would look worse than it is.
    """
    costs = points.costs
    beyond = np.argwhere((costs > corner) & of_costs(costs)[:, None])
    if not len(beyond):
        return
    place, column = beyond[0]
    larger = points.maximize[column]
    has = float(points.values[place, column])
    value = float(-corner[column] if larger else corner[column])
    raise ValueError(
        "`reference` must be at least as bad as the front in every task, and "
        f"is inside it: of {task_name(points.tasks, column)}, where "
        f"{'larger' if larger else 'smaller'} values are better, point "
        f"{place} has {has}. Take a worse one, as "
        "`reference_point` finds, or `ignore_beyond=True` if such points are "
        f"to add nothing. Received: reference {value}"
    )


def volume(costs: np.ndarray, corner: np.ndarray) -> float:
    """The hypervolume of costs; what is beyond the corner adds nothing."""
    found = float(_import_moocore().hypervolume(costs, corner))
    if not np.isfinite(found):
        raise ValueError(
            "The hypervolume is too large for a float. Give values in another "
            f"unit. Received: reference {np.abs(corner).tolist()}"
        )
    return found


def _import_moocore() -> Any:
    return import_optional("moocore", "Hypervolumes are computed")
