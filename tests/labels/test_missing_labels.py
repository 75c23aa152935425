"""Which entries of labels are missing, and which values are of a label."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.labels.missing_labels import known_in_part
from keras_mtl.labels.missing_labels import known_values
from keras_mtl.labels.missing_labels import leave_out_masked
from keras_mtl.labels.missing_labels import missing_label_of
from keras_mtl.labels.missing_labels import multiply_weights
from keras_mtl.labels.missing_labels import split_labels
from keras_mtl.labels.missing_labels import validate_missing_label
from keras_mtl.labels.missing_labels import whole_axes

pytestmark = pytest.mark.backend

NAN = float("nan")


def split(y_true, missing_label):
    found = split_labels(np.asarray(y_true), missing_label)
    return [ops.convert_to_numpy(tensor) for tensor in found]


def known(missing, value_shape, reduced=None):
    missing = np.asarray(missing, bool)
    axes = whole_axes(missing.shape, value_shape, reduced)
    return ops.convert_to_numpy(known_values(missing, value_shape, axes))


def test_nan_in_a_column_of_labels():
    labels, missing = split(np.array([[1.0], [NAN]], "float32"), NAN)
    np.testing.assert_array_equal(labels, [[1], [0]])
    np.testing.assert_array_equal(missing, [[False], [True]])


def test_sentinel_in_class_indices():
    labels, missing = split(np.array([2, -1, 0]), -1)
    np.testing.assert_array_equal(labels, [2, 0, 0])
    np.testing.assert_array_equal(missing, [False, True, False])
    assert np.issubdtype(labels.dtype, np.integer)


def test_integers_hold_no_nan():
    labels, missing = split(np.array([0, 3]), NAN)
    np.testing.assert_array_equal(labels, [0, 3])
    assert not missing.any()


ROWS = [[0, 0], [1, 1], [0, 1]]


@pytest.mark.parametrize(
    "missing, value_shape, reduced, expected",
    [
        pytest.param(ROWS, (3, 2), None, [[1, 1], [0, 0], [1, 0]], id="cells"),
        pytest.param(ROWS, (3,), None, [1, 0, NAN], id="rows"),
        pytest.param(ROWS, (3, 1), None, [[1], [0], [NAN]], id="kept axis"),
        pytest.param([0, 1], (2, 3), None, [[1], [0]], id="spread"),
        pytest.param([[0], [1]], (2, 3), None, [[1], [0]], id="broadcast"),
        pytest.param([[0, 1]], (1, 2), None, [[1, 0]], id="a batch of one"),
        pytest.param(
            [[[0, 1], [0, 1]]], (1, 2), (1,), [[1, 0]], id="channels first"
        ),
        pytest.param([[[0, 1], [0, 1]]], (1,), (1, 2), [NAN], id="pictures"),
    ],
)
def test_which_values_are_of_a_label(missing, value_shape, reduced, expected):
    np.testing.assert_array_equal(
        known(missing, value_shape, reduced), expected
    )


@pytest.mark.parametrize("missing_label", [NAN, -1.0])
def test_labels_that_are_known_in_part_are_counted(missing_label):
    labels = np.where(ROWS, missing_label, 2.0)
    assert known_in_part(labels, missing_label, (1,)) == 1
    assert known_in_part(labels, missing_label, (0, 1)) == 1
    assert known_in_part(labels[:2], missing_label, (1,)) == 0


def test_what_is_masked_is_left_out_even_if_known_in_part():
    found = leave_out_masked(
        ops.array([[1, NAN], [1, 0]]), ops.array([True, False]), "loss"
    )
    np.testing.assert_array_equal(found, [[1, NAN], [0, 0]])
    found = leave_out_masked(
        ops.array([NAN, 1.0]), ops.array([[False], [True]]), "loss"
    )
    np.testing.assert_array_equal(found, [0, 1])
    with pytest.raises(
        ValueError, match=r"mask .* \(2, 3\).* the loss returns"
    ):
        leave_out_masked(ops.ones((2,)), ops.ones((2, 3)), "loss")


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
        split(np.array([0, 255], dtype), value)


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
