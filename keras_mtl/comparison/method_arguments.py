"""What `methods` says of a method."""

import inspect
import re
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from keras_mtl.methods.method import Method

# What `repr` says of functions and of objects that say nothing else.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
Preference = dict[str, float] | None
Given = Mapping[str, Any] | Callable[[Preference], Mapping[str, Any]]


class MethodArguments:
    """Arguments of `compile`, made anew for every model.

    Args:
        method: Name of the method, for messages.
        given: A dict of arguments, or a function that makes one from a
            preference.
        equal: The preference between tasks that are equal; `None` where none
            is asked for.
    """

    def __init__(self, method: str, given: Given, equal: Preference):
        self.method = method
        self.given = given
        self.equal = equal
        # What is wrong is said now, before anything was trained.
        self.fresh(None)

    def preferences(self, given: list[Preference]) -> list[Preference]:
        """Those to test: `None` for equal ones, and others if it takes any."""
        return [None, *given] if callable(self.given) else [None]

    def fresh(self, preference: Preference) -> dict[str, Any]:
        """Arguments that no other model has.

        Args:
            preference: Dict by name of task, or `None` for equal ones.
        """
        given = self.given
        if callable(given):
            found = given(dict(preference or self.equal or {}))
        else:
            found = given
        if not isinstance(found, Mapping):
            raise ValueError(
                f"`methods[{self.method!r}]` must be a dict of arguments of "
                "`compile`, such as {'aggregator': 'pcgrad'}, or a function "
                "from a preference, a dict by task, to one. "
                f"Received: {found!r}"
            )
        return {key: _copy(value) for key, value in found.items()}

    def describe(self) -> str:
        """As text, the same for the same arguments."""
        found = self.fresh(None)
        return said({key: found[key] for key in sorted(found)})


def said(value: Any) -> str:
    """A value as text, the same in another process."""
    return ADDRESS.sub("", repr(_with_configs(value)))


def _copy(value: Any) -> Any:
    """One of its own for each model: of methods, optimizers and metrics too."""
    if not _has_config(value):
        return _inside(_copy, value)
    config = value.get_config()
    if isinstance(value, Method):
        _refuse_incomplete(value, config)
    return type(value).from_config(config)


def _refuse_incomplete(method: Method, config: dict[str, Any]) -> None:
    """What `get_config` leaves out a copy would have at its default."""
    parameters = inspect.signature(type(method)).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [
        p.name
        for p in parameters
        if p.kind not in kinds and p.name not in config
    ]
    if missing:
        raise ValueError(
            f"`get_config` of {type(method).__name__} must return all "
            "arguments of its constructor, for every model needs a copy. "
            f"Received: {config}, without {missing}"
        )


def _with_configs(value: Any) -> Any:
    if _has_config(value):
        config = dict(value.get_config())
        # Keras counts them: "adam_1" is the second one of a process.
        config.pop("name", None)
        return type(value).__name__, _with_configs(config)
    return _inside(_with_configs, value)


def _has_config(value: Any) -> bool:
    # Of an instance: a class says of itself what it cannot do without one.
    return not isinstance(value, type) and hasattr(value, "get_config")


def _inside(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: function(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(function(inner) for inner in value)
    return value
