import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.selection.task_labels import TaskLabels
from keras_mtl.selection.task_labels import common_spec

SPECS = {
    "value": tf.TensorSpec((None, 2), tf.float32),
    "class": tf.TensorSpec((None,), tf.int64),
}
MISSING = {"value": float("nan"), "class": -1}


def fill(kind, task, y):
    labels = TaskLabels(SPECS, MISSING)
    if kind == "arrays":
        return labels.arrays(task, y)
    filled = labels.tensors(task, tf.convert_to_tensor(y))
    return {name: tensor.numpy() for name, tensor in filled.items()}


@pytest.mark.parametrize("kind", ["arrays", "tensors"])
class TestLabels:
    def test_labels_of_the_task_stay(self, kind):
        y = np.arange(6, dtype="float32").reshape(3, 2)
        labels = fill(kind, "value", y)
        assert list(labels) == ["value", "class"]
        np.testing.assert_array_equal(labels["value"], y)
        np.testing.assert_array_equal(labels["class"], [-1, -1, -1])
        assert labels["class"].dtype == "int64"

    def test_others_are_missing_in_their_shape(self, kind):
        labels = fill(kind, "class", np.array([1, 2]))
        np.testing.assert_array_equal(labels["class"], [1, 2])
        assert labels["value"].shape == (2, 2)
        assert labels["value"].dtype == "float32"
        assert np.isnan(labels["value"]).all()


class TestMissingLabel:
    def test_one_for_all(self):
        assert TaskLabels(SPECS, -1).missing == {"value": -1, "class": -1}

    def test_integers_cannot_be_nan(self):
        with pytest.raises(ValueError, match="'class' are of type int64.*-1"):
            TaskLabels(SPECS, float("nan"))

    @pytest.mark.parametrize("value", [-1, 300])
    def test_integers_out_of_range(self, value):
        specs = {"class": tf.TensorSpec((None,), tf.uint8)}
        with pytest.raises(ValueError, match=f"uint8.*{value}"):
            TaskLabels(specs, value)

    @pytest.mark.parametrize("value", [float("nan"), -1, 0])
    @pytest.mark.parametrize("dtype", [tf.bool, tf.string])
    def test_only_numbers_can_be_missing(self, value, dtype):
        """Filled in as booleans, all of these would be labels."""
        specs = {"is_cat": tf.TensorSpec((None, 1), dtype)}
        with pytest.raises(ValueError, match="'is_cat' are of type.*integers"):
            TaskLabels(specs, value)

    def test_a_dict_must_name_all(self):
        with pytest.raises(ValueError, match="without a value.*'class'"):
            TaskLabels(SPECS, {"value": -1})

    @pytest.mark.parametrize("value", ["nan", None, [0]])
    def test_must_be_a_number(self, value):
        with pytest.raises(ValueError, match="`missing_label`"):
            TaskLabels(SPECS, value)

    def test_shape_must_be_known(self):
        specs = {"steps": tf.TensorSpec((None, None), tf.float32)}
        with pytest.raises(ValueError, match="'steps' must have a known shape"):
            TaskLabels(specs, -1)


class TestCommonSpec:
    def test_sizes_that_differ_are_unknown(self):
        spec = common_spec(
            {
                "a": {"x": tf.TensorSpec((None, 7), tf.float32)},
                "b": {"x": tf.TensorSpec((None, 9), tf.float32)},
            }
        )
        assert spec == {"x": tf.TensorSpec((None, None), tf.float32)}

    @pytest.mark.parametrize(
        "other",
        [
            tf.TensorSpec((None, 3), tf.float64),
            tf.TensorSpec((None, 3, 1), tf.float32),
            {"x": tf.TensorSpec((None, 3), tf.float32)},
            (tf.TensorSpec((None, 3), tf.float32),) * 2,
        ],
    )
    def test_refuses_inputs_that_differ(self, other):
        spec = tf.TensorSpec((None, 3), tf.float32)
        with pytest.raises(ValueError, match="same structure.*Received:\n  a:"):
            common_spec({"a": spec, "b": other})


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
