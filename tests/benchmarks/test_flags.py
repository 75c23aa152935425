"""Flags of programs that tests import into one process."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def flags_of(folder: str) -> list[str]:
    """The names that the programs of a folder define."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and defines(node.func):
                found.append(ast.literal_eval(node.args[0]))
    return found


def defines(function: ast.expr) -> bool:
    name = getattr(function, "attr", "")
    return name.startswith("DEFINE_")


def test_names_are_one_benchmarks_own():
    # absl refuses to import the second module that defines a name. Examples
    # leave when their test ends, and benchmarks stay.
    counts = Counter(flags_of("benchmarks"))
    assert counts
    taken = set(flags_of("examples"))
    assert [n for n, count in counts.items() if count > 1 or n in taken] == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
