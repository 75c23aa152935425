"""All methods that keras_mtl knows by name, as the examples make them."""

import inspect
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from typing import NamedTuple

from keras_mtl.aggregators import Aggregator
from keras_mtl.methods.method import Method
from keras_mtl.methods.method import snake_case
from keras_mtl.weightings import Weighting

Arguments = Mapping[str, Mapping[str, Any]]


class Choice(NamedTuple):
    """The methods that can serve some tasks, and those that cannot.

    Attributes:
        makers: By name, a function that makes a new method.
        left_out: By name, the reason.
    """

    makers: dict[str, Callable[[], Method]]
    left_out: dict[str, str]


def names(module: ModuleType) -> list[str]:
    """Names of all aggregators or weightings, in the order of the alphabet.

    Args:
        module: `keras_mtl.aggregators` or `keras_mtl.weightings`.
    """
    return sorted(_classes(module))


def choose(
    module: ModuleType, tasks: Sequence[str], arguments: Arguments
) -> Choice:
    """Sorts out which methods can serve these tasks.

    Args:
        module: `keras_mtl.aggregators` or `keras_mtl.weightings`.
        tasks: Names of the tasks.
        arguments: By name of a method, its arguments; those that are not named
            have none. Random methods get a seed of 0, and where there is a
            main task, it is the first.
    """
    choice = Choice({}, {})
    for name in names(module):

        def maker(name: str = name) -> Method:
            return make(module, name, arguments.get(name, {}))

        try:
            maker().build(tasks)
        except ValueError as error:
            choice.left_out[name] = str(error)
        else:
            choice.makers[name] = maker
    return choice


def make(module: ModuleType, name: str, arguments: Mapping[str, Any]) -> Method:
    """Makes a method, with a seed of 0 and the first task as the main one.

    Args:
        module: `keras_mtl.aggregators` or `keras_mtl.weightings`.
        name: Its name.
        arguments: Its arguments, before those.

    Raises:
        ValueError: If it needs arguments that are not there.
    """
    cls = _classes(module)[name]
    arguments = dict(arguments)
    for argument in ("seed", "main_task"):
        if argument in inspect.signature(cls).parameters:
            arguments.setdefault(argument, 0)
    # Without arguments the registry says which are needed.
    return cls(**arguments) if arguments else module.get(name)


def _classes(module: ModuleType) -> dict[str, type]:
    """Exported methods by name, without the classes that others build on."""
    exported = [getattr(module, name) for name in module.__all__]
    classes = [
        cls
        for cls in exported
        if inspect.isclass(cls) and issubclass(cls, (Aggregator, Weighting))
    ]
    return {
        snake_case(cls.__name__): cls
        for cls in classes
        if not any(cls in other.__mro__[1:] for other in classes)
    }
