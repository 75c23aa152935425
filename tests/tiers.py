"""Two tiers of tests: `pytest` tries the quick ones, `pytest --full` all."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_except(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """Leaves most cases of a family of tests to `pytest --full`.

    Args:
        cases: What a test is tried on, in the order of the test's names.
        *quick: Those of `cases` that plain `pytest` tries as well.

    Returns:
        For `pytest.mark.parametrize`.

    Raises:
        ValueError: If one that is to be quick is no case. With a name that
            has changed, a family would leave the quick tier unseen.

    Example:
        @pytest.mark.parametrize("name", slow_except(METHODS, "MGDA()"))
    """
    cases = list(cases)
    unknown = [case for case in quick if case not in cases]
    if unknown:
        raise ValueError(f"not among the cases: {unknown}")
    return [case if case in quick else slow(case) for case in cases]


def slow(case: Any) -> Any:
    """A case that takes long, or shows what a quicker one shows, too."""
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)
