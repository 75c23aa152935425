"""Which examples count as labelled, for labels of every shape."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.missing_labels import missing_label_of
from keras_mtl.missing_labels import multiply_weights
from keras_mtl.missing_labels import split_labels
from keras_mtl.missing_labels import validate_missing_label

NAN = float("nan")


def split(y_true, prediction_shape, missing_label):
    labels, mask = split_labels(
        np.asarray(y_true), np.zeros(prediction_shape), missing_label
    )
    return ops.convert_to_numpy(labels), ops.convert_to_numpy(mask)


def test_nan_in_a_column_of_labels():
    labels, mask = split(np.array([[1.0], [NAN]], "float32"), (2, 1), NAN)
    np.testing.assert_array_equal(labels, [[1], [0]])
    np.testing.assert_array_equal(mask, [True, False])


def test_sentinel_in_class_indices():
    labels, mask = split(np.array([2, -1, 0]), (3, 5), -1)
    np.testing.assert_array_equal(labels, [2, 0, 0])
    np.testing.assert_array_equal(mask, [True, False, True])
    assert np.issubdtype(labels.dtype, np.integer)


def test_one_missing_entry_makes_an_example_unlabelled():
    y_true = np.array([[1.0, NAN], [3.0, 4.0]], "float32")
    labels, mask = split(y_true, (2, 2), NAN)
    np.testing.assert_array_equal(labels, [[1, 0], [3, 4]])
    np.testing.assert_array_equal(mask, [False, True])


def test_time_steps_are_masked_one_by_one():
    _, mask = split(np.array([[0, -1], [1, 2]]), (2, 2, 3), -1)
    np.testing.assert_array_equal(mask, [[True, False], [True, True]])


def test_integers_hold_no_nan():
    labels, mask = split(np.array([0, 3]), (2, 4), NAN)
    np.testing.assert_array_equal(labels, [0, 3])
    assert mask.all()


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_sample_weights_are_multiplied(shape):
    weight = np.array([2.0, 3.0], "float32").reshape(shape)
    result = multiply_weights(weight, np.array([1.0, 0.0], "float32"))
    np.testing.assert_array_equal(result, [2, 0])


def test_weights_of_examples_spread_over_time_steps():
    mask = np.array([[1, 0], [1, 1]], "float32")
    weight = np.array([2.0, 3.0], "float32")
    result = multiply_weights(weight, mask)
    np.testing.assert_array_equal(result, [[2, 0], [3, 3]])


@pytest.mark.parametrize("dtype, value", [("uint8", -1), ("int32", 0.5)])
def test_a_sentinel_that_the_labels_cannot_hold_is_refused(dtype, value):
    """Converted to uint8, -1 would stand for class 255."""
    with pytest.raises(ValueError, match=f"labels of type {dtype} cannot"):
        split(np.array([0, 255], dtype), (2, 3), value)


def test_one_value_for_all_outputs_or_one_each():
    assert missing_label_of(-1, "a") == -1
    assert missing_label_of({"a": -1}, "a") == -1
    assert missing_label_of({"a": -1}, "b") is None


@pytest.mark.parametrize("value", [np.float32("nan"), np.int64(-1), None])
def test_numbers_of_numpy_are_numbers(value):
    validate_missing_label(value)


@pytest.mark.parametrize("value", ["nan", True, {"a": "nan"}, [1]])
def test_other_values_are_refused(value):
    with pytest.raises(ValueError, match="`missing_label` should be"):
        validate_missing_label(value)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
