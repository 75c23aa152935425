"""What `methods` says of a method."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from keras_mtl.methods.method import Method

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
        return repr({key: _said(found[key]) for key in sorted(found)})


def _copy(value: Any) -> Any:
    if isinstance(value, Method):
        return type(value).from_config(value.get_config())
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, list) else value


def _said(value: Any) -> Any:
    if isinstance(value, Method):
        return type(value).__name__, value.get_config()
    return value
