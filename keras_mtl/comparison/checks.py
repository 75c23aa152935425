"""What a user gives, checked before anything is trained."""

import re
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_mtl.comparison.method_arguments import MethodArguments
from keras_mtl.utils.argument_validation import preference_by_task
from keras_mtl.utils.argument_validation import spread_over_tasks

# Arguments of `fit` that `train` and `validation` stand for.
SAID_BY_DATA = (
    "x", "y", "sample_weight", "validation_data", "validation_split"
)  # fmt: skip
NAME = re.compile(r"[\w.+()=, -]+")


def checked_methods(
    methods: Any, tasks: tuple[str, ...]
) -> dict[str, MethodArguments]:
    """The arguments of each method by its name.

    Args:
        methods: See `Comparison`.
        tasks: Names of the tasks, or none.
    """
    equal = {task: 1 / len(tasks) for task in tasks} or None
    return {
        name: MethodArguments(name, given, equal)
        for name, given in methods.items()
    }


def _check_names(methods: Any) -> None:
    if not isinstance(methods, Mapping) or not methods:
        raise ValueError(
            "`methods` must be a dict from names to arguments of `compile`, "
            "such as {'sum': {}, 'pcgrad': {'aggregator': 'pcgrad'}}. "
            f"Received: methods={methods!r}"
        )
    for name in methods:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                "`methods` must have names that a file can have: letters, "
                f"digits, spaces and any of _.+-=(),. Received: {name!r}"
            )
    if len({name.casefold() for name in methods}) < len(methods):
        raise ValueError(
            "`methods` must have names that differ in more than capitals, for "
            f"some systems' files do not. Received: {list(methods)}"
        )


def checked_tasks(tasks: Any, methods: Any) -> tuple[str, ...]:
    """Names of the tasks, which methods with a preference cannot do without."""
    _check_names(methods)
    needs = [name for name, given in methods.items() if callable(given)]
    if tasks is None and needs:
        raise ValueError(
            "`tasks` must name the tasks, in any order: "
            f"`methods[{needs[0]!r}]` is a function of a preference, a dict "
            "with a number for each of them. Received: tasks=None"
        )
    if isinstance(tasks, str) or not all(
        isinstance(task, str) for task in tasks or ()
    ):
        raise ValueError(
            "`tasks` must be names of tasks, such as ['left', 'right']. "
            f"Received: tasks={tasks!r}"
        )
    return tuple(tasks or ())


def checked_preferences(
    given: Iterable[Any], tasks: tuple[str, ...]
) -> list[dict[str, float]]:
    """Each preference as a dict by task, whose numbers add up to one."""
    found = []
    for one in given:
        if not tasks:
            raise ValueError(
                "`preferences` are for methods that are functions of one, and "
                f"there is none in `methods`. Received: preferences={given!r}"
            )
        if not isinstance(one, Mapping):
            one = np.asarray(one).tolist()
        numbers = spread_over_tasks(
            "preferences", preference_by_task(one), tasks
        )
        total = sum(numbers)
        found.append(
            {
                task: number / total
                for task, number in zip(tasks, numbers, strict=True)
            }
        )
    return found


def described_data(name: str, data: Any) -> str:
    """Shapes of arrays, or what else it is: the same for the same data.

    Args:
        name: Name of the argument.
        data: What a user gave.

    Raises:
        ValueError: If it is not what every model can be trained or judged on.
    """
    if data is None or hasattr(data, "__next__"):
        raise ValueError(
            f"`{name}` must be data that can be read again for every model: "
            "arrays, a data set or a `PyDataset`, and no generator. Received: "
            f"{name}={data!r}"
        )
    if not isinstance(data, (tuple, list)):
        return type(data).__name__
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"`{name}` must be `(x, y)` or `(x, y, sample_weight)`. Received: "
            f"{len(data)} of them"
        )
    leaves = keras.tree.flatten(data)
    # Each once: a list of numbers has as many leaves.
    shapes = {str(getattr(leaf, "shape", "")) for leaf in leaves}
    return " ".join(sorted(shapes))


def check_fit_arguments(given: dict[str, Any]) -> None:
    """Refuses arguments of `fit` that are said elsewhere, or not allowed."""
    for name in SAID_BY_DATA:
        if name in given:
            raise ValueError(
                f"`{name}` is part of `train` or `validation`, which are data "
                f"as `fit` takes them. Received: {name}=..."
            )
    if given.get("validation_freq", 1) != 1:
        raise ValueError(
            "`validation_freq` must be 1: every epoch is judged. Received: "
            f"validation_freq={given['validation_freq']}"
        )
    if not callable(given.get("callbacks", list)):
        raise ValueError(
            "`callbacks` must be a function from a trial to a list, for each "
            f"model needs its own. Received: {given['callbacks']!r}"
        )
