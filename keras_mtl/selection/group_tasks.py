"""Which tasks to train together, from how they affect each other."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_mtl.utils.argument_validation import finite_number
from keras_mtl.utils.argument_validation import integer_from

# Time and memory grow with 3 to the power of the number of tasks.
MAX_TASKS = 13


class TaskGroup(NamedTuple):
    """Tasks that one model is to train on.

    Attributes:
        tasks: Their names.
        served: Those among them that this model is to predict; the others are
            trained along because it helps.
        scores: By served task, the mean affinity onto it of the others.
    """

    tasks: list[str]
    served: list[str]
    scores: dict[str, float]


def group_tasks(
    affinity: Any,
    num_groups: int,
    task_names: Sequence[str] | None = None,
    alone: float = 0.0,
) -> list[TaskGroup]:
    """Groups tasks so that each is served by a group that suits it.

    One model a group is trained on all tasks of its group. A task may be in
    several groups and is served by the one that suits it best: in a group G
    its score is the mean of the affinities onto it from the other tasks of G.
    Of all ways to have at most `num_groups` groups that together serve every
    task, this is the one with the largest sum of scores. It is found exactly,
    by dynamic programming over sets of tasks, for up to 13 tasks. Of groupings
    with one score the one that trains fewer tasks is taken.

    Args:
        affinity: float `[T, T]`, entry `[i, j]` says what training on task i
            does for task j, e.g. `AffinityMonitor.mean_affinity`. The diagonal
            is not used.
        num_groups: int, from 1. How many models can be afforded.
        task_names: Names of the tasks. By default "0", "1", ...
        alone: float. The score of a task that is trained alone. At 0 (default)
            it is left alone rather than grouped with tasks that hurt it; the
            authors' code has -1e6, which groups wherever it can.

    Returns:
        List of `TaskGroup`s, of which every task is served by one.

    Raises:
        ValueError: If an argument does not fit.

    Example:

    ```python
    groups = keras_mtl.selection.group_tasks(
        [[0, 0.3, -0.1], [0.2, 0, -0.2], [0.1, -0.3, 0]], num_groups=2
    )
    groups[0].tasks, groups[0].served  # (["0", "1"], ["0", "1"])
    groups[1].tasks, groups[1].served  # (["2"], ["2"])
    ```

    References:

    - [Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task
      Learning", 2021](https://arxiv.org/abs/2109.04617)
    """
    affinity = _affinity(affinity)
    names = _names(task_names, len(affinity))
    num_groups = integer_from(1, "num_groups", num_groups)
    scores = _scores(affinity, finite_number("alone", alone))
    values, choices = _best_groups(scores)
    return [
        TaskGroup(
            tasks=[names[t] for t in _members(choices[served])],
            served=[names[t] for t in _members(served)],
            scores={
                names[t]: float(scores[choices[served], t])
                for t in _members(served)
            },
        )
        for served in _best_partition(values, num_groups)
    ]


# A set of tasks is an integer whose bit t says whether task t is in it.


def _members(group: int | np.integer) -> list[int]:
    group = int(group)
    return [t for t in range(group.bit_length()) if group >> t & 1]


def _scores(affinity: np.ndarray, alone: float) -> np.ndarray:
    """Score `[2^T, T]` of every task in every group; -inf outside of it."""
    count = len(affinity)
    inside = np.arange(2**count)[:, None] >> np.arange(count) & 1
    others = inside.sum(axis=1, keepdims=True) - 1
    total = inside @ (affinity * (1 - np.eye(count)))
    scores = np.where(others > 0, total / np.maximum(others, 1), alone)
    return np.where(inside, scores, -np.inf)


def _best_groups(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every set of tasks to serve: the best score, and the group."""
    groups = np.arange(len(scores))
    sizes = np.bitwise_count(groups)
    # Of equal groups the smallest, so it comes first.
    groups = groups[np.argsort(sizes, kind="stable")]
    values = np.full(len(scores), -np.inf)
    choices = np.zeros(len(scores), "int64")
    for served in range(1, len(scores)):
        around = groups[groups & served == served]
        sums = scores[around][:, _members(served)].sum(axis=1)
        values[served] = sums.max()
        choices[served] = around[np.argmax(_rounded(sums))]
    return values, choices


def _best_partition(values: np.ndarray, num_groups: int) -> list[int]:
    """Splits all tasks into at most so many sets of the largest total value."""
    everything = len(values) - 1
    num_groups = min(num_groups, everything.bit_length())
    best = values
    # By number of groups and set of tasks: the part that one of the groups
    # serves, or 0 where one group less does as well.
    parts = [np.arange(len(values))]
    for _ in range(1, num_groups):
        best, part = _one_group_more(values, best)
        parts.append(part)
    groups, left = [], everything
    for part in reversed(parts):
        if part[left]:
            groups.append(int(part[left]))
            left -= groups[-1]
    return groups


def _one_group_more(
    values: np.ndarray, best: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Improves the values of all sets of tasks by another group."""
    better, part = best.copy(), np.zeros(len(best), "int64")
    everything = np.arange(len(values))
    for tasks in range(1, len(values)):
        # That group serves the first task, and others but not all.
        first = tasks & -tasks
        subsets = everything[first:tasks]
        subsets = subsets[(subsets & first > 0) & (subsets & ~tasks == 0)]
        if not len(subsets):
            continue
        totals = values[subsets] + best[tasks - subsets]
        place = int(np.argmax(totals))
        if _rounded(totals[place]) > _rounded(better[tasks]):
            better[tasks], part[tasks] = totals[place], subsets[place]
    return better, part


def _rounded(values: Any) -> Any:
    """Sums of the same numbers in another order count as equal."""
    return np.round(values, 12)


def _affinity(affinity: Any) -> np.ndarray:
    try:
        affinity = np.asarray(affinity, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`affinity` must be an array of numbers of shape [T, T]. Received: "
            f"affinity={affinity!r}"
        ) from error
    count = len(affinity) if affinity.ndim else 0
    if affinity.shape != (count, count) or not 1 <= count <= MAX_TASKS:
        raise ValueError(
            f"`affinity` must have shape [T, T] for T tasks, up to {MAX_TASKS} "
            "of them; more have too many groups to look at them all. Received: "
            f"shape {affinity.shape}"
        )
    affinity = np.where(np.eye(count, dtype=bool), 0.0, affinity)
    if not np.all(np.isfinite(affinity)):
        raise ValueError(
            "`affinity` must be finite between different tasks. Received: "
            f"affinity={affinity.tolist()}"
        )
    return affinity


def _names(task_names: Any, count: int) -> list[str]:
    if task_names is None:
        return [str(t) for t in range(count)]
    is_sequence = isinstance(task_names, Iterable)
    names = list(task_names) if is_sequence else []
    is_named = all(isinstance(name, str) for name in names)
    if (
        isinstance(task_names, str)
        or not is_named
        or len(names) != count
        or len(set(names)) != count
    ):
        raise ValueError(
            f"`task_names` must be {count} different names, one for each row "
            f"of `affinity`. Received: task_names={task_names!r}"
        )
    return names
