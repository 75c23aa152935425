"""Imports run one way, so that a part can be read without those above it."""

import re
from pathlib import Path

import pytest

import keras_mtl

PACKAGE = Path(keras_mtl.__file__).parent
# Each imports from those before it alone.
ORDER = (
    "types utils backend losses labels transfer pareto solvers gradients "
    "methods aggregators weightings trainers saving model layers/parts layers "
    "auxiliaries callbacks datasets optimizers regularizers selection "
    "comparison testing"
).split()
# What may use still less than stands before it.
ONLY = {
    "layers/parts": {"types", "utils"},
    "layers": {"types", "utils", "layers/parts"},
    "losses": {"types", "utils"},
    "pareto": {"types", "utils"},
    "comparison": {"types", "utils", "methods", "pareto"},
    "solvers": {"types", "utils"},
    "gradients": {"types", "utils", "backend", "solvers"},
    "backend": {"types", "utils"},
}
IMPORT = re.compile(r"^\s*from keras_mtl(\S*) import (\w+)", re.MULTILINE)


def part_of(path: Path) -> str:
    """The part of the package that a path below it belongs to."""
    name = path.as_posix()
    whole = (part for part in ORDER if name.startswith(f"{part}/"))
    # Those with a longer name come first: layers/parts before layers.
    return max(whole, key=len, default=path.with_suffix("").parts[0])


def imported(text: str) -> set[str]:
    found = set()
    for module, name in IMPORT.findall(text):
        path = Path(*module.strip(".").split("."), name)
        found.add(part_of(path / "_"))
    return found


def files() -> list[Path]:
    found = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
    return sorted(set(found) - {Path("__init__.py"), Path("version.py")})


def test_every_part_has_a_place():
    assert {part_of(path) for path in files()} == set(ORDER)


@pytest.mark.parametrize("part", ORDER)
def test_imports_come_from_before(part):
    allowed = ONLY.get(part, set(ORDER[: ORDER.index(part)])) | {part}
    strange = {
        str(path): imported((PACKAGE / path).read_text()) - allowed
        for path in files()
        if part_of(path) == part
    }
    assert not {path: found for path, found in strange.items() if found}


def test_the_order_is_that_of_the_map():
    page = PACKAGE.parent / "docs" / "architecture.md"
    if not page.exists():
        pytest.skip("reads the whole checkout")
    text = page.read_text()
    places = [text.index(f"| `{part}`") for part in ORDER]
    assert places == sorted(places)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
