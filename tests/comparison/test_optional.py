"""Packages that not everybody has."""

import sys

import pytest

from keras_mtl.comparison.optional import import_optuna


@pytest.mark.parametrize("package", ["optuna", "filelock"])
def test_says_what_to_install(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"keras_mtl\[comparison\]"):
        import_optuna()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
