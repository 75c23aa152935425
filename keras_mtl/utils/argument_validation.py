"""Checks of what a user gives a method: one value, or one for each task."""

import math
import numbers
import os
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.utils.by_output import TASKS
from keras_mtl.utils.by_output import check_entries

# What `MultiTaskModel.compile` takes beside the arguments of Keras.
COMPILE_ARGUMENTS = (
    "aggregator",
    "weighting",
    "representation",
    "representation_reduction",
    "scale_heads",
    "missing_label",
)


def is_number(value: Any) -> bool:
    """Whether it is a finite real number; true and false are none."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def is_integer(value: Any) -> bool:
    """Whether it is an integer; true and false are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def finite_number(argument: str, value: Any) -> float:
    """The value as a float, if it is a finite number."""
    if not is_number(value):
        raise ValueError(
            f"`{argument}` must be a finite number. Received: "
            f"{argument}={value!r}"
        )
    return float(value)


def number_above_zero(argument: str, value: Any) -> float:
    """The value as a float, if it is a finite number above zero."""
    if not is_number(value) or value <= 0:
        raise ValueError(
            f"`{argument}` must be a number above 0. Received: "
            f"{argument}={value!r}"
        )
    return float(value)


def number_from_zero(argument: str, value: Any) -> float:
    """The value as a float, if it is a finite number from zero up."""
    if not is_number(value) or value < 0:
        raise ValueError(
            f"`{argument}` must be a number from 0 up. Received: "
            f"{argument}={value!r}"
        )
    return float(value)


def number_to_one(
    argument: str, value: Any, zero: bool = True, one: bool = True
) -> float:
    """The value as a float, if it is a number from zero to one.

    Args:
        argument: Name of the argument, for the error message.
        value: What the user gave.
        zero: Whether it may be zero.
        one: Whether it may be one.
    """
    inside = is_number(value) and 0 <= value <= 1
    if not inside or (value == 0 and not zero) or (value == 1 and not one):
        low = "from 0 up" if zero else "above 0"
        high = "at most 1" if one else "below 1"
        raise ValueError(
            f"`{argument}` must be a number {low} and {high}. Received: "
            f"{argument}={value!r}"
        )
    return float(value)


def integer_from(low: int, argument: str, value: Any) -> int:
    """The value as an int, if it is an integer from `low` up."""
    if not is_integer(value) or value < low:
        raise ValueError(
            f"`{argument}` must be an integer from {low} up. Received: "
            f"{argument}={value!r}"
        )
    return int(value)


def boolean(argument: str, value: Any) -> bool:
    """The value, if it is true or false."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"`{argument}` must be True or False. Received: "
            f"{argument}={value!r}"
        )
    return bool(value)


def optional_seed(value: Any) -> int | None:
    """The argument `seed` as an int, or `None`."""
    return None if value is None else integer_from(0, "seed", value)


def optional_path(argument: str, value: Any) -> Path | None:
    """The value as a path, if it is one, or `None`."""
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)) or value == "":
        raise ValueError(
            f"`{argument}` must be a path or `None`. Received: "
            f"{argument}={value!r}"
        )
    return Path(value)


def optional_file(argument: str, value: Any) -> Path | None:
    """The value as the path of a file, there or not, or `None`."""
    path = optional_path(argument, value)
    if path is not None and path.is_dir():
        raise ValueError(
            f"`{argument}` must be a file. Received: {argument}={value!r}, "
            "which is a folder"
        )
    return path


def is_table(value: Any, keys: Iterable[Any]) -> bool:
    """Whether it is a dict with these keys, and others perhaps."""
    return isinstance(value, dict) and set(value) >= set(keys)


def one_of(argument: str, value: Any, known: Sequence[Any]) -> Any:
    """The value, if it is one of those known."""
    if value not in known:
        raise ValueError(
            f"`{argument}` must be one of {list(known)}. Received: "
            f"{argument}={value!r}"
        )
    return value


def numbers_by_task(argument: str, given: Any) -> Any:
    """What a user gave for the tasks, as `get_config` can return it.

    Args:
        argument: Name of the argument, for error messages.
        given: A dict from names of tasks to numbers, a sequence of numbers in
            the order of `loss`, one number for all tasks, or None.

    Returns:
        The same with floats, in a dict, a list, a float or None.
    """
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if given is None:
        return None
    if is_number(given):
        return float(given)
    if isinstance(given, dict) and all(map(is_number, given.values())):
        return {str(name): float(value) for name, value in given.items()}
    is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
    if is_sequence and given and all(map(is_number, given)):
        return [float(value) for value in given]
    raise ValueError(
        f"`{argument}` must be a dict from names of tasks to finite numbers, "
        "or a sequence of finite numbers in the order of `loss`. Received: "
        f"{argument}={given!r}"
    )


def preference_by_task(given: Any) -> Any:
    """A preference between tasks, as `get_config` can return it.

    Args:
        given: Numbers from 0 up, not all zero: a dict by names of tasks, or a
            sequence in the order of `loss`. None means equal numbers.

    Raises:
        ValueError: If it is anything else.
    """
    preference = numbers_by_task("preference", given)
    values = preference
    if isinstance(values, dict):
        values = list(values.values())
    if values is not None and (
        isinstance(values, float)
        or not values
        or min(values) < 0
        or sum(values) <= 0
    ):
        raise ValueError(
            "`preference` must hold numbers from 0 up, not all of them zero, "
            f"one for each task. Received: preference={given!r}"
        )
    return preference


def spread_over_tasks(
    argument: str,
    given: Any,
    task_names: Sequence[str],
    default: float | None = None,
) -> list[float]:
    """One number a task from what `numbers_by_task` returned.

    Args:
        argument: Name of the argument, for error messages.
        given: A dict, a list, a float or None.
        task_names: Names of the tasks in the order of `loss`.
        default: For tasks that a dict does not name, and for all tasks if
            `given` is None; if it is None, a dict must name them all.

    Raises:
        ValueError: If `given` does not fit the tasks.
    """
    count = len(task_names)
    if given is None:
        return [1.0 if default is None else default] * count
    if isinstance(given, float):
        return [given] * count
    if isinstance(given, list):
        if len(given) != count:
            raise ValueError(
                f"`{argument}` must have a number for each of the tasks "
                f"{list(task_names)}. Received: {argument}={given}"
            )
        return given
    check_entries(argument, given, task_names, TASKS)
    missing = [name for name in task_names if name not in given]
    if missing and default is None:
        raise ValueError(
            f"`{argument}` must name each of the tasks {list(task_names)}. "
            f"Received: {argument}={given}, without {missing}"
        )
    return [given.get(name, default) for name in task_names]


def refuse_compile_arguments(method: str, given: Iterable[str]) -> None:
    """Says where an argument belongs that `compile` takes and others don't.

    Args:
        method: What was called, for the message.
        given: Names of its keyword arguments.
    """
    for name in COMPILE_ARGUMENTS:
        if name in given:
            raise TypeError(
                f"`{name}` is an argument of `compile`: "
                f"`model.compile(optimizer, loss=..., {name}=...)`. Received: "
                f"`{name}` in {method}"
            )
