"""The public names are those that a file lists."""

import pytest

import keras_mtl
from tests.public_names import PATH
from tests.public_names import public_names


def test_are_those_of_the_file():
    """`python -m tests.public_names` writes it."""
    assert public_names() == PATH.read_text().split()


def test_dir_shows_nothing_else():
    assert set(dir(keras_mtl)) == set(keras_mtl.__all__)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
