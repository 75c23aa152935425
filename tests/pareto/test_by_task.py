"""What is given for each task, by name, in order or once."""

import keras
import numpy as np
import pytest

from keras_mtl.pareto.by_task import entries_by_task
from keras_mtl.pareto.by_task import numbers_by_task

TASKS = ["left", "right"]


@pytest.mark.parametrize(
    "given",
    [{"right": 2, "left": 1}, [1, 2], (1.0, 2.0), np.array([1, 2])],
)
def test_in_the_order_of_the_columns(given):
    found = numbers_by_task("reference", given, TASKS, 2)
    assert found.tolist() == [1, 2] and found.dtype == "float64"


@pytest.mark.parametrize(
    "given",
    [3, 3.0, np.float32(3), np.array(3), keras.ops.convert_to_tensor(3.0)],
)
def test_one_for_all(given):
    assert numbers_by_task("reference", given, None, 2).tolist() == [3, 3]


@pytest.mark.parametrize(
    "given, message",
    [
        ({"left": 1, "wright": 2}, "'wright'.*Did you mean 'right'"),
        ({"left": 1}, "without .'right'"),
        ([1, 2, 3], "a number for each of .'left', 'right'"),
        ([1, None], "finite numbers. Received: None for task 'right'"),
        ({"left": np.inf, "right": 1}, "finite.*inf for task 'left'"),
        ([True, 1], "finite numbers. Received: True for task 'left'"),
        ([[1, 2], [3, 4]], "a number for each of"),
    ],
)
def test_bad_numbers(given, message):
    with pytest.raises(ValueError, match="`reference`.*" + message):
        numbers_by_task("reference", given, TASKS, 2)


def test_a_dict_for_columns_without_names():
    with pytest.raises(ValueError, match="`maximize`.*points have no names"):
        entries_by_task("maximize", {"left": True}, None)


def test_names_may_be_numbers_as_those_of_points_are_text():
    found = numbers_by_task("reference", {1: 2.0, 0: 1.0}, ["0", "1"], 2)
    np.testing.assert_array_equal(found, [1.0, 2.0])


def test_rows_that_are_not_equally_long():
    with pytest.raises(ValueError, match="`reference` must have a number for"):
        numbers_by_task("reference", [[1.0], 2.0], None, 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
