"""What a user gives, checked before anything is trained."""

import numpy as np
import pytest

from keras_mtl.comparison import checks

TASKS = ("left", "right")


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({}, "`methods` must be a dict"),
        (["sum"], "`methods` must be a dict"),
        ({"a/b": {}}, "`methods` must have names.*'a/b'"),
        ({"Sum": {}, "sum": {}}, "differ in more than capitals"),
        ({"sum": lambda weights: {}}, "`tasks` must name the tasks"),
    ],
)
def test_methods(methods, message):
    with pytest.raises(ValueError, match=message):
        checks.checked_tasks(None, methods)


def test_tasks():
    with pytest.raises(ValueError, match="`tasks` must be names"):
        checks.checked_tasks("left", {"sum": {}})
    assert checks.checked_tasks(list(TASKS), {"sum": {}}) == TASKS


def test_preferences():
    given = [{"right": 3, "left": 1}, [1, 0]]
    assert checks.checked_preferences(given, TASKS) == [
        {"left": 0.25, "right": 0.75},
        {"left": 1.0, "right": 0.0},
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1, 2, 3]], "number for each of the tasks"),
        ([[-1, 2]], "from 0 up"),
        ([[0, 0]], "not all of them zero"),
        ([{"left": 1}], "must name each"),
    ],
)
def test_preferences_that_are_none(given, message):
    with pytest.raises(ValueError, match=message):
        checks.checked_preferences(given, TASKS)
    with pytest.raises(ValueError, match="`preferences` are for methods"):
        checks.checked_preferences(given, ())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation_data": 1}, "`validation_data` is part of"),
        ({"callbacks": []}, "`callbacks` must be a function"),
        ({"validation_freq": 2}, "`validation_freq` must be 1"),
    ],
)
def test_fit_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        checks.check_fit_arguments(arguments)


def test_data_is_described():
    data = (np.zeros((3, 2)), {"left": np.zeros(3), "right": [1, 2, 3]})
    assert checks.described_data("train", data) == " (3, 2) (3,)"
    for given, message in [
        (None, "`train` must be data that can be read again"),
        (iter([1]), "and no generator"),
        ((1, 2, 3, 4), "Received: 4 of them"),
    ]:
        with pytest.raises(ValueError, match=message):
            checks.described_data("train", given)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
