"""Tests of TrimmedMean."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import testing
from keras_mtl.aggregators.trimmed_mean import TrimmedMean


def combined(rows, num_trimmed=1):
    rows = np.asarray(rows, "float32")
    return ops.convert_to_numpy(TrimmedMean(num_trimmed)(rows))


class TestCombine:
    def test_golden(self):
        rows = [[1e11, 3], [1, -1e11], [-1e10, 1e10], [2, 2]]
        np.testing.assert_array_equal(combined(rows), [1.5, 2.5])

    @pytest.mark.parametrize("size", [3, 4, 8, 11])
    def test_against_sorting(self, size):
        rows = np.random.default_rng(size).standard_normal((size, 50))
        for num_trimmed in range((size + 1) // 2):
            ordered = np.sort(rows, axis=0)
            expected = ordered[num_trimmed : size - num_trimmed].mean(axis=0)
            found = combined(rows, num_trimmed)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

    def test_most_trimmed_is_the_median(self):
        rows = np.random.default_rng(0).standard_normal((7, 20))
        expected = np.median(rows, axis=0)
        np.testing.assert_allclose(combined(rows, 3), expected, rtol=1e-6)

    def test_duplicates(self):
        np.testing.assert_array_equal(combined([[2.0]] * 3 + [[5.0]]), [2])

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_not_trimmed(self, value):
        update = combined([[value, 1], [1, 2], [2, 3], [3, 6]])
        assert not np.isfinite(update[0])
        assert update[1] == 2.5


class TestProperties:
    checks = [*testing.UNIVERSAL, testing.assert_permutation_equivariant]

    def test_nothing_trimmed_is_the_mean(self):
        for rows in testing.jacobians((2,)).values():
            expected = rows.mean(axis=0)
            scale = np.abs(rows).max()
            found = combined(rows, 0)
            np.testing.assert_allclose(found, expected, atol=1e-6 * scale)


class TestArguments:
    def test_configuration(self):
        method = TrimmedMean(2, name="mine")
        config = keras.saving.serialize_keras_object(method)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == method.get_config()
        assert again.num_trimmed == 2

    @pytest.mark.parametrize("value", [-1, 0.1, True, None])
    def test_bad_num_trimmed(self, value):
        with pytest.raises(ValueError, match="`num_trimmed` must be an int"):
            TrimmedMean(value)

    def test_too_few_tasks(self):
        # Of a model it is a mistake, of one variable it happens.
        np.testing.assert_array_equal(combined([[1.0], [2.0]]), [1.5])
        with pytest.raises(ValueError, match="`num_trimmed`.*here 4"):
            TrimmedMean(2).build("abcd")


@pytest.mark.slow
def test_in_a_model():
    inputs = keras.Input((3,))
    shared = layers.Dense(2, use_bias=False, name="shared")(inputs)
    outputs = {
        name: layers.Dense(1, use_bias=False, name=name)(shared)
        for name in "abc"
    }
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(1.0),
        {name: "mse" for name in "abc"},
        aggregator=TrimmedMean(),
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3)).astype("float32")
    y = {name: rng.normal(size=(4, 1)).astype("float32") for name in "abc"}
    (kernel,) = model.get_layer("shared").get_weights()
    gradients = []
    for name in "abc":
        (head,) = model.get_layer(name).get_weights()
        error = x @ kernel @ head - y[name]
        gradients.append(x.T @ (2 / 4 * error) @ head.T)
    model.fit(x, y, batch_size=4, verbose=0)
    (after,) = model.get_layer("shared").get_weights()
    expected = kernel - np.median(gradients, axis=0)
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
