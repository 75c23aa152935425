"""Numbers that users give, one or one for each task."""

from pathlib import Path

import numpy as np
import pytest

from keras_mtl.utils.argument_validation import finite_number
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import is_table
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.argument_validation import number_to_one
from keras_mtl.utils.argument_validation import numbers_by_task
from keras_mtl.utils.argument_validation import optional_file
from keras_mtl.utils.argument_validation import optional_path
from keras_mtl.utils.argument_validation import preference_by_task
from keras_mtl.utils.argument_validation import spread_over_tasks

NAMES = ["a", "b"]


def test_numbers_of_numpy_are_numbers():
    assert number_above_zero("x", np.float32(0.5)) == 0.5
    assert type(number_from_zero("x", np.int64(0))) is float


@pytest.mark.parametrize("value", ["1", None, True, np.nan, np.inf, -1])
def test_no_numbers_in_range(value):
    with pytest.raises(ValueError, match="`x` must be a number from 0 up"):
        number_from_zero("x", value)
    with pytest.raises(ValueError, match="Received: x="):
        number_above_zero("x", value)


@pytest.mark.parametrize("value", ["1", None, True, np.nan, np.inf])
def test_no_finite_numbers(value):
    with pytest.raises(ValueError, match="`x` must be a finite number.*x="):
        finite_number("x", value)


@pytest.mark.parametrize(
    "value, zero, one, message",
    [
        (-0.1, True, True, "from 0 up and at most 1"),
        (1.5, True, True, "from 0 up and at most 1"),
        (0, False, True, "above 0 and at most 1"),
        (1, True, False, "from 0 up and below 1"),
        ("1", False, False, "above 0 and below 1"),
        (True, True, True, "from 0 up and at most 1"),
        (np.nan, True, True, "from 0 up and at most 1"),
    ],
)
def test_no_numbers_to_one(value, zero, one, message):
    with pytest.raises(ValueError, match=f"`x` must be a number {message}.*x="):
        number_to_one("x", value, zero=zero, one=one)


def test_numbers_to_one():
    assert number_to_one("x", np.float32(0.5), zero=False, one=False) == 0.5
    assert [number_to_one("x", value) for value in (0, 1)] == [0.0, 1.0]


@pytest.mark.parametrize("value", [0, 1.0, "1", None, True, np.nan])
def test_no_integers(value):
    with pytest.raises(ValueError, match="`x` must be an integer from 1 up"):
        integer_from(1, "x", value)


def test_integers_of_numpy_are_integers():
    assert type(integer_from(1, "x", np.int64(1))) is int


@pytest.mark.parametrize("value", ["", 3, b"x", ["x"]])
def test_no_paths(value):
    with pytest.raises(ValueError, match="`x` must be a path.*Received: x="):
        optional_path("x", value)


def test_paths():
    assert optional_path("x", None) is None
    assert optional_path("x", "a/b") == optional_path("x", Path("a", "b"))


def test_files(tmp_path):
    assert optional_file("x", None) is None
    assert optional_file("x", tmp_path / "new") == tmp_path / "new"
    with pytest.raises(ValueError, match="`x` must be a file.*a folder"):
        optional_file("x", tmp_path)


@pytest.mark.parametrize("value", [None, [], "ab", {"a": 1}])
def test_no_tables(value):
    assert not is_table(value, ["a", "b"])
    assert is_table({"a": 1, "b": 2, "c": 3}, ["a", "b"])


@pytest.mark.parametrize(
    "given, clean, spread",
    [
        (None, None, [7.0, 7.0]),
        (2, 2.0, [2.0, 2.0]),
        ((1, 2), [1.0, 2.0], [1.0, 2.0]),
        (np.array([1, 2]), [1.0, 2.0], [1.0, 2.0]),
        ({"b": 1}, {"b": 1.0}, [7.0, 1.0]),
    ],
)
def test_by_task(given, clean, spread):
    assert numbers_by_task("x", given) == clean
    assert spread_over_tasks("x", clean, NAMES, default=7.0) == spread


@pytest.mark.parametrize("given", [{}, [], 0.0, {"a": 0}, [-1.0, 2.0], True])
def test_no_preference(given):
    with pytest.raises(ValueError, match="`preference` must"):
        preference_by_task(given)


@pytest.mark.parametrize("given", ["ab", [], ["a"], {"a": None}, [[1.0]]])
def test_no_numbers_by_task(given):
    with pytest.raises(ValueError, match="`x` must be a dict from names of"):
        numbers_by_task("x", given)


@pytest.mark.parametrize(
    "given, message",
    [
        ([1.0], r"a number for each of the tasks \['a', 'b'\]"),
        ({"c": 1.0}, r"`x` has entries \['c'\]"),
        ({"a": 1.0}, r"must name each of the tasks.*without \['b'\]"),
    ],
)
def test_of_other_tasks(given, message):
    with pytest.raises(ValueError, match=message):
        spread_over_tasks("x", given, NAMES)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
