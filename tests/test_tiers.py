"""The tiers keep what they promise: none of what is tested falls between."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiers import slow_except

TESTS = Path(__file__).absolute().parent
# Of these packages a training step is made, or what a step leaves behind.
ON_EVERY_BACKEND = (
    "auxiliaries",
    "backend",
    "gradients",
    "labels",
    "methods",
    "saving",
    "trainers",
)


def quick_tests(body: list[ast.stmt]) -> Iterator[ast.FunctionDef]:
    """Tests of which some case at least is quick."""
    for node in body:
        if "mark.slow" in " ".join(map(ast.unparse, decorators(node))):
            continue
        if isinstance(node, ast.ClassDef):
            yield from quick_tests(node.body)
        elif isinstance(node, ast.FunctionDef) and node.name[:4] == "test":
            yield node


def decorators(node: ast.stmt) -> list[ast.expr]:
    return getattr(node, "decorator_list", [])


def test_every_file_has_a_quick_test():
    """So that `pytest` says something of every module."""
    without = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("test_*.py")
        if not list(quick_tests(ast.parse(path.read_text()).body))
    ]
    assert not without


@pytest.mark.parametrize("package", ON_EVERY_BACKEND)
def test_what_belongs_to_a_step_is_tried_on_every_backend(package):
    paths = list((TESTS / package).glob("test_*.py"))
    assert paths
    without = [
        path.name
        for path in paths
        if "pytest.mark.backend" not in path.read_text()
    ]
    assert not without


class TestSlowExcept:
    def test_leaves_the_others_to_the_full_tier(self):
        first, second, third = slow_except(["a", "b", "c"], "b")
        assert second == "b"
        for case, value in ((first, "a"), (third, "c")):
            assert case.values == (value,)
            assert [mark.name for mark in case.marks] == ["slow"]

    def test_several_names(self):
        first, second = slow_except([("a", 1), ("b", 2)], ("a", 1))
        assert first == ("a", 1)
        assert second.values == ("b", 2)

    def test_one_that_is_no_case(self):
        with pytest.raises(ValueError, match="not among the cases.*'d'"):
            slow_except(["a", "b"], "d")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
