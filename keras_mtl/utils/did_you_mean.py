"""What a user may have meant by a name that is not known."""

import difflib
import functools
import inspect
import re
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question for error messages, ending in a space; else nothing."""
    by_lower = {str(other).lower(): other for other in known}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    return f"Did you mean '{by_lower[close[0]]}'? " if close else ""


def refuse_unknown_identifier(error: Exception) -> None:
    """Raises again, with what may be meant, if Keras knows no such name.

    Args:
        error: Any error; of others than those of losses and metrics that are
            not known nothing is said.
    """
    found = re.match(
        r"Could not interpret (loss|metric) identifier: (\w+)", str(error)
    )
    if found is None:
        return
    kind, name = found.groups()
    module = keras.losses if kind == "loss" else keras.metrics
    others = ("get", "serialize", "deserialize", "Loss", "Metric")
    known = [n for n in dir(module) if n[0] != "_" and n not in others]
    # Not the class of that name.
    known.append("accuracy")
    hint = did_you_mean(name, known)
    if hint:
        raise ValueError(f"Unknown {kind}. {hint}Received: {name!r}")


def refuse_unknown_arguments(
    method: Callable[..., Any], given: Iterable[str]
) -> None:
    """Says which argument was meant by one that a method does not take.

    Args:
        method: The method. Where it takes any name, it speaks for itself.
        given: Names of the keyword arguments. Of one that is like no other,
            Python says all there is to say.
    """
    parameters = list(inspect.signature(method).parameters.values())[1:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    for name in given:
        hint = "" if name in known else did_you_mean(name, known)
        if hint:
            raise TypeError(
                f"{method.__name__}() got an unexpected keyword argument "
                f"'{name}'. {hint}".strip()
            )


def naming_arguments(method: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a method say which argument was meant by an unknown one."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_unknown_arguments(method, kwargs)
        return method(self, *args, **kwargs)

    return call
