"""Names of types are defined once."""

import re
from pathlib import Path

import pytest

import keras_mtl

PACKAGE = Path(keras_mtl.__file__).parent


@pytest.mark.parametrize("name", ["Column", "Gradient", "Shape", "Tensor"])
def test_is_defined_in_one_place(name):
    pattern = re.compile(rf"^{name}\s*[:=]", re.MULTILINE)
    found = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if pattern.search(path.read_text())
    ]
    assert found == ["types.py"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
