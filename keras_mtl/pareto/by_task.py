"""What a user gives for each task: one number, or one a task."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.utils.argument_validation import is_number
from keras_mtl.utils.by_output import check_entries


def said(tasks: Sequence[str] | None, num_tasks: int) -> str:
    """The tasks, for messages."""
    return f"the {num_tasks} columns" if tasks is None else f"{list(tasks)}"


def task_name(tasks: Sequence[str] | None, column: int) -> str:
    """One task, for messages."""
    return f"column {column}" if tasks is None else f"task '{tasks[column]}'"


def entries_by_task(
    argument: str, given: Mapping[str, Any], tasks: Sequence[str] | None
) -> list[Any]:
    """The entries of a dict in the order of the tasks.

    Raises:
        ValueError: If tasks have no names, if an entry is no task's, or if a
            task has none.
    """
    if tasks is None:
        raise ValueError(
            f"`{argument}` is by name of task, and the points have no names. "
            "Give them as a dict from names of tasks to values. Received: "
            f"{argument}={dict(given)}"
        )
    # Names of tasks are text, also of those that were numbers.
    given = {str(task): value for task, value in given.items()}
    check_entries(argument, given, tasks, "tasks of the points")
    missing = [task for task in tasks if task not in given]
    if missing:
        raise ValueError(
            f"`{argument}` must name each of the tasks {list(tasks)}. "
            f"Received: {argument}={dict(given)}, without {missing}"
        )
    return [given[task] for task in tasks]


def numbers_by_task(
    argument: str, given: Any, tasks: Sequence[str] | None, num_tasks: int
) -> np.ndarray:
    """Finite numbers `[T]` in the order of the columns.

    Args:
        argument: Name of the argument, for messages.
        given: A dict by name of task, a sequence in the order of the columns,
            or one number for all.
        tasks: The names, or `None`.
        num_tasks: How many columns there are.

    Raises:
        ValueError: If there is not one finite number for each.
    """
    if isinstance(given, Mapping):
        values = entries_by_task(argument, given, tasks)
    elif _ndim(given) == 0:
        values = [given] * num_tasks
    else:
        values = list(given) if _ndim(given) == 1 else []
        if len(values) != num_tasks:
            raise ValueError(
                f"`{argument}` must have a number for each of "
                f"{said(tasks, num_tasks)}. Received: {argument}={given!r}"
            )
    for column, value in enumerate(values):
        if not is_number(_scalar(value)):
            raise ValueError(
                f"`{argument}` must be finite numbers. Received: {value!r} "
                f"for {task_name(tasks, column)}"
            )
    return np.array(values, "float64")


def _ndim(given: Any) -> int | None:
    """How many axes there are; `None` where rows are not equally long."""
    try:
        return np.ndim(given)
    except ValueError:
        return None


def _scalar(value: Any) -> Any:
    """A number, also of an array or tensor without axes."""
    is_array = hasattr(value, "__array__") and np.ndim(value) == 0
    return np.asarray(value).item() if is_array else value
