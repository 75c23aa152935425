"""Tests of Constant."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.aggregators.constant import Constant


class TestConstant:
    def test_golden(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(Constant([1, 2])(jacobian))
        np.testing.assert_array_equal(update, [8, 3, 3])

    def test_batch(self):
        grams = np.stack([np.eye(3), 5 * np.eye(3)])
        weights = ops.convert_to_numpy(Constant([0, -1.5, 2]).weights(grams))
        np.testing.assert_array_equal(weights, [[0, -1.5, 2]] * 2)

    def test_configuration(self):
        method = Constant(np.array([1, 2]), granularity="layer", name="mine")
        config = keras.saving.serialize_keras_object(method)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == method.get_config()
        assert config["config"]["weights"] == [1.0, 2.0]

    @pytest.mark.parametrize(
        "weights", [[], 1.0, [[1.0]], [1.0, np.nan], ["a"], None, "12"]
    )
    def test_bad_weights(self, weights):
        with pytest.raises(ValueError, match="`weights` must be a sequence"):
            Constant(weights)

    def test_wrong_number(self):
        method = Constant([1.0, 2.0])
        with pytest.raises(ValueError, match="number for each task, 3"):
            method.weights(np.eye(3))
        with pytest.raises(ValueError, match="number for each task, 3"):
            method.build(["a", "b", "c"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
