"""Rays that spread wanted trade-offs over a front, and how far off losses are.

A preference r, a positive number a task, asks for the Pareto-optimal point
where r_t l_t is equal for all tasks: the losses on the ray 1 / r. This module
is where it says how each method is told so:

| method | argument for the preference r |
|---|---|
| `EPO`, `STCH`, `Tchebycheff` | `preference=r` |
| `PBI`, `COSMOS` | `preference=loss_ray(r)`, the direction of the losses |
| weighted sum | `loss_weights=len(r) * r`, whose mean is one |

A weighted sum ends where the front has the slope of its weights, and so on the
ray by chance only. `EPO` and `Tchebycheff` end on it, where the front meets it,
`STCH` near it for a small `mu`; `PBI` for a `theta` and `COSMOS` for a
`penalty` that are large enough. Losses count from zero, or from the `reference`
that `STCH`, `Tchebycheff` and `PBI` take.
"""

import itertools
import math
from typing import Any

import numpy as np

from keras_mtl.pareto.points import numbers
from keras_mtl.utils.argument_validation import integer_from

# Of the rays of two tasks: those of the EPO paper's code.
FIRST_DEGREES = 9.0
LAST_DEGREES = 81.0


def preference_rays(num_tasks: int, num_rays: int) -> np.ndarray:
    """Preferences that spread over all trade-offs, none of them extreme.

    For two tasks they are evenly spread by angle, from 9 to 81 degrees, as are
    then the rays of their losses. For more tasks they are the lattice of Das
    and Dennis on the simplex, moved half a step off its faces; a lattice has 1,
    T, T (T + 1) / 2, T (T + 1) (T + 2) / 6, ... points.

    Args:
        num_tasks: T, from two up.
        num_rays: How many, from one up: one is equal preferences.

    Returns:
        float64 array `[num_rays, T]`, above zero. Its rows sum to one; the
        first prefers the first task most. Methods take a row in different
        ways:

        - `EPO(row)`, `STCH(preference=row)` and `Tchebycheff(row)`,
        - `PBI(preference=loss_ray(row))` and
          `COSMOS(preference=loss_ray(row))`,
        - `loss_weights=num_tasks * row` for a weighted sum, to be named for
          the tasks.

    Raises:
        ValueError: If a number is too small, or no lattice has `num_rays`
            points.

    Example:

    >>> preference_rays(2, 3).round(3)
    array([[0.863, 0.137],
           [0.5  , 0.5  ],
           [0.137, 0.863]])
    >>> for row in preference_rays(num_tasks=2, num_rays=5):
    ...     model = build_model()
    ...     aggregator = keras_mtl.aggregators.EPO(row)
    ...     model.compile("adam", loss=losses, aggregator=aggregator)

    References:

    - Das and Dennis, "Normal-boundary intersection: a new method for generating
      the Pareto surface in nonlinear multicriteria optimization problems", 1998
    - [Multi-Task Learning with User Preferences](
      https://proceedings.mlr.press/v119/mahapatra20a.html), Mahapatra and
      Rajan 2020
    """
    num_tasks = integer_from(2, "num_tasks", num_tasks)
    num_rays = integer_from(1, "num_rays", num_rays)
    rays = (
        _by_angle(num_rays)
        if num_tasks == 2
        else _lattice(num_tasks, _divisions(num_tasks, num_rays))
    )
    return rays / rays.sum(axis=1, keepdims=True)


def loss_ray(preference: Any) -> np.ndarray:
    """The direction of losses that a preference asks for: 1 / r.

    Args:
        preference: Numbers above zero, `[T]` or `[num_rays, T]`.

    Returns:
        float64 array of that shape, whose rows sum to one.

    Raises:
        ValueError: If a number is not above zero.

    Example:

    >>> loss_ray([0.75, 0.25])
    array([0.25, 0.75])
    """
    preference = _vectors("preference", preference)
    if (preference <= 0).any():
        raise ValueError(
            "`preference` must be above 0 for each task: the ray of losses is "
            f"1 / preference. Received: preference={preference.tolist()}"
        )
    # The least preferred task has one: no inverse is out of range.
    rays = preference.min(axis=-1, keepdims=True) / preference
    return rays / rays.sum(axis=-1, keepdims=True)


def ray_angle(losses: Any, preference: Any) -> Any:
    """How far losses are off the ray of a preference.

    Args:
        losses: Numbers from zero up, not all zero, `[T]` or `[N, T]`.
        preference: Numbers above zero, `[T]`, or `[N, T]` for a row each.

    Returns:
        Degrees from 0 to 90, between the losses and 1 / preference as vectors:
        a float, or a float64 array `[N]`.

    Raises:
        ValueError: If they are not such numbers, or do not go together.

    Example:

    >>> ray_angle([1.0, 3.0], preference=[0.75, 0.25])
    0.0
    """
    ray = loss_ray(preference)
    losses = _vectors("losses", losses)
    if losses.shape[-1] != ray.shape[-1] or (
        losses.ndim == ray.ndim == 2 and len(losses) != len(ray)
    ):
        raise ValueError(
            "`losses` and `preference` must have the same tasks, and as many "
            f"rows if both have some. Received: losses of shape {losses.shape} "
            f"and preference of shape {ray.shape}"
        )
    largest = losses.max(axis=-1, keepdims=True)
    if (losses < 0).any() or (largest == 0).any():
        raise ValueError(
            "`losses` must be 0 or more, and one of them more: else they have "
            f"no direction. Received: losses={losses.tolist()!s:.200}"
        )
    losses = losses / largest
    losses = losses / np.linalg.norm(losses, axis=-1, keepdims=True)
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    # Unlike the arc cosine it is exact for small angles.
    apart = np.linalg.norm(losses - ray, axis=-1)
    together = np.linalg.norm(losses + ray, axis=-1)
    degrees = np.degrees(2 * np.arctan2(apart, together))
    return float(degrees) if degrees.ndim == 0 else degrees


def _by_angle(num_rays: int) -> np.ndarray:
    degrees = np.linspace(FIRST_DEGREES, LAST_DEGREES, num_rays)
    if num_rays == 1:
        degrees[:] = (FIRST_DEGREES + LAST_DEGREES) / 2
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _divisions(num_tasks: int, num_rays: int) -> int:
    """H of the lattice with so many points."""
    divisions, count, below = 0, 1, 1
    while count < num_rays:
        divisions, below = divisions + 1, count
        count = math.comb(divisions + num_tasks - 1, num_tasks - 1)
    if count != num_rays:
        raise ValueError(
            f"`num_rays` must be the number of points of a lattice for "
            f"{num_tasks} tasks: {below} or {count}. Received: "
            f"num_rays={num_rays}"
        )
    return divisions


def _lattice(num_tasks: int, divisions: int) -> np.ndarray:
    """All ways to share H ones among the tasks, with a half more for each."""
    ways = itertools.combinations_with_replacement(range(num_tasks), divisions)
    counts = [
        np.bincount(np.array(way, int), minlength=num_tasks) for way in ways
    ]
    return 0.5 + np.array(counts)


def _vectors(argument: str, given: Any) -> np.ndarray:
    values = numbers(given, argument)
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(
            f"`{argument}` must be of shape [tasks] or [rows, tasks]. "
            f"Received: {argument} of shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"`{argument}` must be finite. Received: "
            f"{argument}={values.tolist()!s:.200}"
        )
    return values
