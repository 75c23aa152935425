"""What a user may have meant by a name that is not known."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question for error messages, ending in a space; else nothing."""
    by_lower = {str(other).lower(): other for other in known}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    return f"Did you mean '{by_lower[close[0]]}'? " if close else ""
