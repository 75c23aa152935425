"""How much better than before, in parts of what was before."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_mtl.pareto.by_task import numbers_by_task
from keras_mtl.pareto.directions import refuse_mixed_names
from keras_mtl.pareto.points import Points
from keras_mtl.pareto.points import as_points


class RelativeChange(NamedTuple):
    """What `relative_change` finds, as parts: 0.01 is one percent.

    Attributes:
        by_task: Dict from tasks to their relative changes.
        mean: Mean of the relative changes: all tasks count alike.
        of_mean: Relative change of the mean: a task counts by its baseline.
    """

    by_task: dict[str, float]
    mean: float
    of_mean: float


def delta_m(metrics: Any, baselines: Any, maximize: Any = None) -> Any:
    """Mean relative improvement over single-task baselines.

    The mean over tasks of (metric - baseline) / |baseline|, with the sign
    turned where smaller is better: positive is better than single-task
    training in the mean, 0.05 is five percent. Papers print it in percent, as
    Δm; some with the other sign, so that smaller is better.

    Args:
        metrics: One value for each task, in a dict by name; or several: points
            with names (see `non_dominated`).
        baselines: Dict from tasks to what a model that was trained for this
            task alone reaches.
        maximize: See `non_dominated`. What is a loss in one task and an
            accuracy in another needs a dict.

    Returns:
        float; of several points, an array `[N]`.

    Raises:
        ValueError: If the tasks of the two are not the same, if a baseline is
            zero, if a value is not finite, or if the direction of a task is
            not clear.

    Example:

    >>> delta_m({"digit": 0.88, "angle": 0.3}, {"digit": 0.8, "angle": 0.4},
    ...         maximize={"digit": True, "angle": False})
    0.175

    Reference:

    - [Maninis et al., "Attentive Single-Tasking of Multiple Tasks", 2019](
        https://arxiv.org/abs/1904.08918)
    """
    points, is_one = _named(metrics, maximize)
    against = _baselines(points, baselines)
    improved = np.where(points.maximize, 1, -1) * (points.values - against)
    means = (improved / np.abs(against)).mean(axis=1)
    return float(means[0]) if is_one else means


def relative_change(metrics: Any, baselines: Any) -> RelativeChange:
    """By which part metrics have changed, in both conventions for a mean.

    The change of a task is (metric - baseline) / |baseline|, and its sign is
    as it is: an error that falls has a negative one. Two means are in use and
    differ where baselines do: the mean of the changes, and the change of the
    mean over tasks. Give the tasks of one kind at a time, such as all AUCs.

    Args:
        metrics: Dict from tasks to numbers.
        baselines: Dict from the same tasks to numbers that are not zero.

    Returns:
        A `RelativeChange` with `by_task`, `mean` and `of_mean`.

    Raises:
        ValueError: As `delta_m`, or if the names of the tasks say that larger
            is better in some and smaller in others.

    Example:

    >>> change = relative_change({"a": 1.5, "b": 4}, {"a": 1.0, "b": 4})
    >>> change.mean, change.of_mean
    (0.25, 0.1)
    """
    if not isinstance(metrics, Mapping):
        raise ValueError(
            "`metrics` must be a dict from names of tasks to numbers. "
            f"Received: metrics={metrics!r:.200}"
        )
    refuse_mixed_names("metrics", list(map(str, metrics)))
    # Directions do not matter here, so that no name is asked for one.
    anyhow = dict.fromkeys(map(str, metrics), True)
    points, is_one = _named(metrics, anyhow)
    if not is_one:
        raise ValueError(
            "`metrics` must have one number for each task. Received: "
            f"metrics={metrics!r:.200}"
        )
    against = _baselines(points, baselines)
    changes = (points.values[0] - against) / np.abs(against)
    total = against.sum()
    # Of 0.1, 0.2 and -0.3 the sum is not 0, by the rounding of floats.
    rounding = len(against) * np.finfo("float64").eps * np.abs(against).sum()
    if abs(total) <= rounding:
        raise ValueError(
            "The mean of `baselines` must not be zero. Received: "
            f"baselines={baselines}"
        )
    return RelativeChange(
        dict(zip(points.tasks, changes.tolist(), strict=True)),
        float(changes.mean()),
        float((points.values[0].sum() - total) / abs(total)),
    )


def _named(metrics: Any, maximize: Any) -> tuple[Points, bool]:
    """Points with names, and whether a user gave one without a list."""
    is_one = isinstance(metrics, Mapping) and all(
        np.ndim(value) == 0 for value in metrics.values()
    )
    if is_one and metrics:
        metrics = [metrics]
    points = as_points(metrics, maximize, "metrics")
    if points.tasks is None:
        raise ValueError(
            "`metrics` must have names of tasks, so that each is compared with "
            "its own baseline: give a dict from tasks to values. Received: an "
            f"array of shape {points.values.shape}"
        )
    return points, is_one


def _baselines(points: Points, baselines: Any) -> np.ndarray:
    if not isinstance(baselines, Mapping):
        raise ValueError(
            "`baselines` must be a dict from the tasks "
            f"{points.tasks} to numbers. Received: baselines={baselines!r:.200}"
        )
    values = numbers_by_task(
        "baselines", baselines, points.tasks, len(points.tasks)
    )
    zero = [t for t, v in zip(points.tasks, values, strict=True) if v == 0]
    if zero:
        raise ValueError(
            "`baselines` must not be zero, for nothing is a part of zero. "
            f"Received: 0 for {zero}"
        )
    return values
