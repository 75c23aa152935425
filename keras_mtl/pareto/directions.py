"""Whether larger values of a task are better, or smaller ones."""

import re
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.pareto.by_task import entries_by_task
from keras_mtl.pareto.by_task import said

LARGER_IS_BETTER = frozenset(
    "acc accuracy auc auprc auroc bleu dice f1 iou miou ndcg precision r2 "
    "recall".split()
)
SMALLER_IS_BETTER = frozenset(
    "crossentropy err error loss mae mape mse msle nll perplexity regret "
    "rmse".split()
)


def directions(
    maximize: Any, tasks: Sequence[str] | None, num_tasks: int
) -> np.ndarray:
    """Whether larger is better, `[T]`, from what a user gave as `maximize`.

    Args:
        maximize: A bool for all tasks, a dict of bools by name of task, or a
            sequence of bools in the order of the columns. `None` is False, as
            of losses, where there are no names, or where all names say so.
        tasks: The names, or `None` where the columns have none.
        num_tasks: How many columns there are.

    Raises:
        ValueError: If a task is left out, if neither `maximize` nor the name
            of a task says which way is better, or if one bool is to be for all
            and the name of a task says otherwise.
    """
    if isinstance(maximize, Mapping):
        given = entries_by_task("maximize", maximize, tasks)
    elif maximize is None or _is_bool(maximize):
        given = [bool(maximize)] * num_tasks
        _refuse_what_names_deny(given[0], tasks or ())
        if maximize is None:
            _refuse_what_nobody_says(tasks or ())
    elif np.ndim(maximize) == 1 and len(maximize) == num_tasks:
        given = list(maximize)
    else:
        raise ValueError(
            "`maximize` must be True or False, or one of them for each of "
            f"{said(tasks, num_tasks)}. Received: maximize={maximize!r}"
        )
    if not all(map(_is_bool, given)):
        raise ValueError(
            "`maximize` must be True for a task of which larger values are "
            "better, and False for another one. Received: "
            f"maximize={maximize!r}"
        )
    return np.array(given, bool)


def larger_is_better_by_name(task: str) -> bool | None:
    """What the name of a task says, such as `left_accuracy`, if anything."""
    separated = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", task).lower()
    for word in reversed(re.split(r"[^a-z0-9]+", separated)):
        if word in LARGER_IS_BETTER:
            return True
        if word in SMALLER_IS_BETTER:
            return False
    return None


def refuse_mixed_names(argument: str, tasks: Sequence[str]) -> None:
    """Raises if a mean over the tasks would mix what is good and what is bad.

    Args:
        argument: Name of the argument, for the message.
        tasks: Their names.
    """
    known = {task: larger_is_better_by_name(task) for task in tasks}
    larger = [task for task, says in known.items() if says is True]
    smaller = [task for task, says in known.items() if says is False]
    if larger and smaller:
        raise ValueError(
            f"`{argument}` mixes directions: larger is better of {larger}, "
            f"and smaller of {smaller}. Call it for each kind, or take "
            f"`delta_m`. Received: {argument} with entries {list(tasks)}"
        )


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _refuse_what_nobody_says(tasks: Sequence[str]) -> None:
    unclear = [task for task in tasks if larger_is_better_by_name(task) is None]
    if unclear:
        raise ValueError(
            "`maximize` must say whether larger values are better, for the "
            f"names of {unclear} do not: give `maximize=True` or "
            "`maximize=False` for all tasks, or a dict such as maximize="
            f"{dict.fromkeys(unclear, True)}. Received: maximize=None for the "
            f"tasks {list(tasks)}"
        )


def _refuse_what_names_deny(maximize: bool, tasks: Sequence[str]) -> None:
    against = [
        task
        for task in tasks
        if larger_is_better_by_name(task) not in (None, maximize)
    ]
    if against:
        each = {task: larger_is_better_by_name(task) or False for task in tasks}
        raise ValueError(
            f"`maximize={maximize}` says of all tasks that "
            f"{'larger' if maximize else 'smaller'} values are better, and "
            f"the names of {against} say otherwise. State it for each: "
            f"maximize={each}. Received: maximize={maximize} for the tasks "
            f"{list(tasks)}"
        )
