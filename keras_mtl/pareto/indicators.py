"""How far a front is from another one."""

from typing import Any

import numpy as np

from keras_mtl.pareto.by_task import task_name
from keras_mtl.pareto.non_dominated import front_of
from keras_mtl.pareto.optional import import_optional
from keras_mtl.pareto.points import Points
from keras_mtl.pareto.points import as_points_together


def igd_plus(points: Any, reference_front: Any, maximize: Any = None) -> float:
    """How far the points stay behind a reference front, in the mean.

    The mean, over the points of the reference front, of the distance to the
    nearest of `points`, where only tasks in which that one is worse count
    (IGD+, which a better front never makes larger). Tasks on larger scales
    count for more: divide by a range or by baselines first. moocore computes
    it.

    Args:
        points: See `non_dominated`.
        reference_front: What to reach, such as the points of all methods
            together, with the same tasks. What is dominated is left out, and
            a point that is there twice counts once.
        maximize: See `non_dominated`.

    Returns:
        float, from 0 up; 0 if the points reach the whole reference front.

    Raises:
        ImportError: If moocore is not installed.
        ValueError: If one of the two is not as `non_dominated` wants it, or if
            tasks or directions differ.

    Example:

    >>> igd_plus([[2, 2]], reference_front=[[1, 2], [2, 1]])
    1.0

    Reference:

    - Ishibuchi et al., "Modified distance calculation in generational distance
      and inverted generational distance", 2015
    """
    points, front = _pair(points, reference_front, maximize)
    return float(_import_moocore().igd_plus(points.costs, ref=front))


def epsilon_additive(
    points: Any, reference_front: Any, maximize: Any = None
) -> float:
    """By how much all points must improve to reach a reference front.

    The smallest number that, taken off every task of every point (added, where
    larger is better), makes each point of the reference front at most as good
    as some point. moocore computes it.

    Args:
        points: See `non_dominated`.
        reference_front: See `igd_plus`.
        maximize: See `non_dominated`.

    Returns:
        float; negative, if the points are ahead everywhere.

    Raises:
        ImportError: If moocore is not installed.
        ValueError: As `igd_plus`.

    Example:

    >>> epsilon_additive([[3, 3]], reference_front=[[1, 2], [2, 1]])
    2.0

    Reference:

    - Zitzler et al., "Performance assessment of multiobjective optimizers",
      2003
    """
    points, front = _pair(points, reference_front, maximize)
    return float(_import_moocore().epsilon_additive(points.costs, ref=front))


def epsilon_multiplicative(
    points: Any, reference_front: Any, maximize: Any = None
) -> float:
    """By which factor all points must improve to reach a reference front.

    As `epsilon_additive`, with a factor that values are divided by (multiplied,
    where larger is better), so that the scales of tasks do not matter.

    Args:
        points: See `non_dominated`; all values above 0.
        reference_front: See `igd_plus`; all values above 0.
        maximize: See `non_dominated`.

    Returns:
        float above 0; below 1, if the points are ahead everywhere.

    Raises:
        ImportError: If moocore is not installed.
        ValueError: As `igd_plus`, or if a value is not above 0.

    Example:

    >>> epsilon_multiplicative([[3, 3]], reference_front=[[1, 2], [2, 1]])
    3.0
    """
    points, front = _pair(points, reference_front, maximize)
    values = np.where(points.maximize, -front, front)
    _refuse_not_positive("points", points, points.values)
    _refuse_not_positive("reference_front", points, values)
    return float(
        _import_moocore().epsilon_mult(
            points.values, ref=values, maximise=points.maximize
        )
    )


def _pair(
    points: Any, reference_front: Any, maximize: Any
) -> tuple[Points, np.ndarray]:
    """The points, and the costs of the reference front."""
    given = {"points": points, "reference_front": reference_front}
    points, reference = as_points_together(given, maximize)
    return points, front_of(reference.costs)


def _refuse_not_positive(
    argument: str, points: Points, values: np.ndarray
) -> None:
    bad = np.argwhere(values <= 0)
    if len(bad):
        place, column = bad[0]
        raise ValueError(
            f"`{argument}` must be above 0 for a factor. Take "
            f"`epsilon_additive`. Received: {values[place, column]:g} of "
            f"{task_name(points.tasks, column)}"
        )


def _import_moocore() -> Any:
    return import_optional("moocore", "Indicators are computed")
