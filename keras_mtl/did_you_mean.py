"""What a user may have meant by a name that is not known."""

import difflib
import re
from collections.abc import Iterable

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
    known = [n for n in dir(module) if not n.startswith("_")]
    # Not the class of that name.
    known.append("accuracy")
    hint = did_you_mean(name, known)
    if hint:
        raise ValueError(f"Unknown {kind}. {hint}Received: {name!r}")
