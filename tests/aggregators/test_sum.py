"""Tests of Sum."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mtl
from keras_mtl import testing
from keras_mtl.aggregators import Sum
from keras_mtl.methods import StepInfo


def first_output(y_true, y_pred):
    return y_pred[:, 0]


class TestSum:
    def test_weights(self):
        weights = ops.convert_to_numpy(Sum().weights(np.eye(3)))
        np.testing.assert_allclose(weights, [1, 1, 1], rtol=1e-6)

    def test_update(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(Sum()(jacobian))
        np.testing.assert_allclose(update, [2, 2, 2], rtol=1e-6)

    @pytest.mark.parametrize("scale", [1e-3, 0.9, 1.1, 1e6])
    def test_max_norm_clips_the_update(self, scale):
        rows = np.array([[0.6, 0.0, 0.0], [0.0, 0.0, 0.8]], "float32") * scale
        update = ops.convert_to_numpy(Sum(max_norm=1.0)(rows))
        total = rows.astype("float64").sum(axis=0)
        expected = total / max(np.linalg.norm(total), 1.0)
        np.testing.assert_allclose(update, expected, rtol=1e-5)

    @pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
    def test_max_norm_of_squares_out_of_range(self, size):
        rows = (size * np.eye(2)).astype("float32")
        update = ops.convert_to_numpy(Sum(max_norm=1.0)(rows))
        expected = [min(size, 0.5**0.5)] * 2
        np.testing.assert_allclose(update, expected, rtol=1e-6)
        update = ops.convert_to_numpy(Sum()(rows))
        np.testing.assert_allclose(update, [size] * 2, rtol=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
    def test_max_norm_in_a_model(self, size):
        inputs = keras.Input((2,))
        shared = keras.layers.Dense(
            1, use_bias=False, kernel_initializer="zeros"
        )
        hidden = shared(inputs)
        outputs = {
            t: keras.layers.Rescaling(size, name=t)(hidden) for t in "ab"
        }
        model = keras_mtl.MultiTaskModel(inputs, outputs)
        model.compile("sgd", first_output, aggregator=Sum(max_norm=1.0))
        model.optimizer.learning_rate = 1.0
        x = np.array([[3.0, 4.0]], "float32")
        model.train_on_batch(x, {t: np.zeros((1, 1)) for t in "ab"})
        # Both gradients are `size * x`; the sum has ten times that length.
        expected = -x[0] / 5 * min(10 * size, 1.0)
        found = ops.convert_to_numpy(shared.kernel)[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_a_task_without_labels_is_no_part_of_the_length(self):
        gram = np.array([[4.0, 0.0], [0.0, 0.0]], "float32")
        present = np.array([True, False])
        weights = Sum(max_norm=1.0).update(gram, StepInfo(present=present))
        np.testing.assert_allclose(weights, [0.5, 0.5], rtol=1e-6)

    def test_max_norm_of_each_group(self):
        grams = np.array([np.eye(2) * 8, np.eye(2) * 0.02], "float32")
        weights = Sum(max_norm=1.0).weights(grams)
        expected = [[0.25, 0.25], [1.0, 1.0]]
        np.testing.assert_allclose(weights, expected, rtol=1e-6)

    def test_max_norm_keeps_what_is_not_finite(self):
        weights = ops.convert_to_numpy(
            Sum(max_norm=1.0).weights(np.full((2, 2), np.nan, "float32"))
        )
        assert np.isnan(weights).all()
        with pytest.raises(ValueError, match="`max_norm` must be a number"):
            Sum(max_norm=0)

    def test_config(self):
        config = Sum(max_norm=2).get_config()
        assert Sum.from_config(config).get_config() == config
        assert Sum().get_config()["max_norm"] is None

    def test_properties(self):
        testing.check_aggregator(
            Sum(),
            [*testing.UNIVERSAL, testing.assert_permutation_equivariant],
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
