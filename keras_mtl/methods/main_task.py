"""The argument `main_task`, which several methods have."""

from collections.abc import Sequence
from typing import Any

from keras_mtl.utils.argument_validation import is_integer
from keras_mtl.utils.did_you_mean import did_you_mean


def check_main_task(main_task: Any) -> str | int:
    """A name of a task, or its index in the order of `loss`.

    Raises:
        ValueError: If `main_task` can be neither.
    """
    if not is_integer(main_task):
        if isinstance(main_task, str):
            return main_task
        raise ValueError(
            "`main_task` must be the name of a task or its index in the "
            f"order of `loss`. Received: main_task={main_task!r}"
        )
    if main_task < 0:
        raise ValueError(
            "`main_task` as an index counts from 0. Received: "
            f"main_task={main_task}"
        )
    return int(main_task)


def index_of_main_task(main_task: str | int, tasks: Sequence[str]) -> int:
    """Index of the main task in the order of `loss`.

    Raises:
        ValueError: If it is none of the tasks.
    """
    known = range(len(tasks)) if isinstance(main_task, int) else tasks
    if main_task not in known:
        question = did_you_mean(str(main_task), tasks)
        raise ValueError(
            f"`main_task` must be one of the tasks {list(tasks)} or an index "
            f"below {len(tasks)}. {question}Received: main_task={main_task!r}"
        )
    return list(known).index(main_task)
