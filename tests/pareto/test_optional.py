"""Packages that are not there."""

import math

import pytest

from keras_mtl.pareto.optional import import_optional


def test_says_what_to_install():
    with pytest.raises(ImportError) as caught:
        import_optional("no_such_package.part", "Fronts are drawn")
    message = str(caught.value)
    assert message.startswith("Fronts are drawn with no_such_package, which")
    assert "pip install 'keras_mtl[pareto]'" in message


def test_gives_what_is_there():
    assert import_optional("math", "Numbers are found") is math


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
