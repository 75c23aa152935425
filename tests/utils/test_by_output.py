"""Dicts by output: completed, put in order, and checked."""

import pytest

from keras_mtl.utils.by_output import check_entries
from keras_mtl.utils.by_output import labels_by_output
from keras_mtl.utils.by_output import listed_by_output
from keras_mtl.utils.by_output import names_in
from keras_mtl.utils.by_output import spread_by_output

NESTED = {"what": {"a": 0, "b": 0}, "c": 0}


def spread(given, y_pred, names=None):
    return spread_by_output("sample_weight", given, y_pred, names)


@pytest.mark.parametrize(
    "given, y_pred, names, expected",
    [
        (None, {"a": 0}, None, None),
        (5, {"a": 0}, None, 5),
        ([5, 6], [0, 0], None, [5, 6]),
        ({"b": 5}, {"a": 0, "b": 0}, None, {"a": None, "b": 5}),
        ({"b": 5}, [0, 0], ["a", "b"], [None, 5]),
        ({"a": 5}, 0, ["a"], 5),
        ({"a": 5}, 0, ["a", "b"], {"a": 5}),
        ({}, 0, None, {}),
        ({"c": 5}, NESTED, None, {"what": {"a": None, "b": None}, "c": 5}),
        (
            {"what": {"b": 5}},
            NESTED,
            None,
            {"what": {"a": None, "b": 5}, "c": None},
        ),
    ],
)
def test_what_is_not_named_is_none(given, y_pred, names, expected):
    assert spread(given, y_pred, names) == expected


@pytest.mark.parametrize(
    "given, y_pred, names",
    [
        ({"aa": 5}, {"a": 0, "b": 0}, None),
        ({"a": 5, "b": 6, "aa": 7}, {"a": 0, "b": 0}, None),
        ({"aa": 5}, [0, 0], ["a", "b"]),
        ({"aa": 5}, 0, ["a"]),
        ({"aa": 5}, 0, None),
        ({"aa": 5}, [0, 0], None),
        ({"what": {"aa": 5}}, NESTED, None),
    ],
)
def test_what_is_no_output_is_refused(given, y_pred, names):
    message = r"`sample_weight.* has entries \['aa'\] that are no outputs"
    with pytest.raises(ValueError, match=message):
        spread(given, y_pred, names)


def test_values_beside_a_list_go_by_name_too():
    def listed(given, beside, names):
        return listed_by_output("loss_weights", given, beside, names)

    assert listed({"a": 1, "b": 2}, ["mse", "mae"], ["b", "a"]) == [2, 1]
    assert listed([1, 2], ["mse", "mae"], ["b", "a"]) == [1, 2]
    assert listed({"a": 1}, {"a": "mse"}, ["a"]) == {"a": 1}
    assert listed({"a": 1}, ["mse"], None) == {"a": 1}
    with pytest.raises(ValueError, match=r"`loss_weights` has .*\['c'\]"):
        listed({"a": 1, "c": 2}, ["mse", "mae"], ["b", "a"])
    with pytest.raises(ValueError, match=r"Received: .* without \['b'\]"):
        listed({"a": 1}, ["mse", "mae"], ["b", "a"])


def test_entries_that_are_outputs_pass():
    check_entries("metrics", {"a": 1}, ["a", "b"])
    with pytest.raises(ValueError, match="no names: return a dict"):
        check_entries("metrics", {"a": 1}, None)


def test_names_of_nested_outputs():
    assert set(names_in(NESTED)) == {"what", "what/a", "what/b", "c"}
    assert names_in([0, 0]) == []


def test_labels_by_the_name_of_their_output():
    assert labels_by_output({"a": 1, "b": {"c": 2}}, None) == {
        "a": 1,
        "b/c": 2,
    }
    assert labels_by_output([1, 2], ["a", "b"]) == {"a": 1, "b": 2}
    assert labels_by_output(1, ["a"]) == {"a": 1}
    assert labels_by_output(None, None) == {}
    assert labels_by_output([1, 2], None) == {}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
