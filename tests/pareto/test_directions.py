"""Which way is better, as stated, and as names say."""

import numpy as np
import pytest

from keras_mtl.pareto.directions import directions
from keras_mtl.pareto.directions import larger_is_better_by_name
from keras_mtl.pareto.directions import refuse_mixed_names

TASKS = ["left", "right"]


@pytest.mark.parametrize(
    "maximize, expected",
    [
        (True, [True, True]),
        (np.bool_(True), [True, True]),
        ([True, False], [True, False]),
        (np.array([False, True]), [False, True]),
        ({"right": True, "left": False}, [False, True]),
    ],
)
def test_as_stated(maximize, expected):
    found = directions(maximize, TASKS, 2)
    assert found.tolist() == expected and found.dtype == bool


@pytest.mark.parametrize(
    "maximize, message",
    [
        ({"left": True}, "without .'right'"),
        ({"left": True, "wright": True}, "Did you mean 'right'"),
        ({"left": True, "right": "min"}, "False for another one.*'min'"),
        ({"left": True, "right": None}, "False for another one"),
        ([True], "or one of them for each of .'left', 'right'"),
        ([True, 0], "False for another one"),
        ("max", "must be True or False"),
        (1, "must be True or False"),
    ],
)
def test_what_is_not_clear(maximize, message):
    with pytest.raises(ValueError, match="`maximize.*" + message):
        directions(maximize, TASKS, 2)


@pytest.mark.parametrize(
    "task, expected",
    [
        ("left_accuracy", True),
        ("val_auc_1", True),
        ("leftAUC", True),
        ("BinaryAccuracy", True),
        ("f1 score", True),
        ("test/rmse", False),
        ("mean_squared_error", False),
        ("accuracy_loss", False),
        ("error_rate", False),
        ("left", None),
        ("lossless", None),
        ("terror", None),
    ],
)
def test_what_a_name_says(task, expected):
    assert larger_is_better_by_name(task) is expected


@pytest.mark.parametrize("maximize", [None, False, True])
def test_one_for_all_does_not_mix_what_names_tell_apart(maximize):
    with pytest.raises(ValueError, match="maximize=.'auc': True, 'c': False"):
        directions(maximize, ["auc", "c", "mse"], 3)


def test_who_states_each_is_believed():
    stated = {"accuracy": False, "loss": True}
    assert directions(stated, list(stated), 2).tolist() == [False, True]


def test_names_that_say_the_same():
    assert directions(True, ["a_auc", "b_auc", "c"], 3).all()
    with pytest.raises(ValueError, match="'a_auc', 'b_auc'.*otherwise"):
        directions(None, ["a_auc", "b_auc"], 2)


def test_a_mean_over_mixed_names():
    refuse_mixed_names("metrics", ["a_auc", "b_auc", "c"])
    with pytest.raises(ValueError, match="`metrics` mixes.*'auc'.*'rmse'"):
        refuse_mixed_names("metrics", ["auc", "rmse"])


def test_what_nobody_says():
    with pytest.raises(ValueError, match="names of .'left'.*maximize=True"):
        directions(None, ["left", "loss"], 2)
    assert not directions(None, ["left_loss", "right_mse"], 2).any()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
