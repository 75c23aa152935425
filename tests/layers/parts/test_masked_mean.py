import keras
import numpy as np
import pytest

from keras_mtl.layers.parts.masked_mean import mask_of_rank
from keras_mtl.layers.parts.masked_mean import masked_mean
from tests.arrays import numpy

X = np.random.default_rng(0).normal(size=(2, 4, 3, 5)).astype("float32")
STEPS = np.arange(4) < np.array([[1], [3]])


def test_without_a_mask():
    np.testing.assert_allclose(
        numpy(masked_mean(keras.ops.array(X), None)),
        X.mean((0, 1, 2)),
        atol=1e-6,
    )


def test_leaves_out_what_is_hidden():
    mean = masked_mean(keras.ops.array(X), keras.ops.array(STEPS))
    np.testing.assert_allclose(numpy(mean), X[STEPS].mean((0, 1)), atol=1e-6)


def test_where_all_is_hidden():
    nothing = keras.ops.zeros((2, 4), "bool")
    x = keras.ops.array(X)
    assert numpy(masked_mean(x, nothing)).tolist() == [0.0] * 5
    otherwise = keras.ops.arange(5, dtype="float32")
    found = masked_mean(x, nothing, otherwise)
    assert numpy(found).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_counts_in_float32():
    x = keras.ops.ones((1, 70_000, 1), "float16")
    mean = masked_mean(x, keras.ops.ones((1, 70_000), "bool"))
    assert keras.backend.standardize_dtype(mean.dtype) == "float32"
    assert numpy(mean).tolist() == [1.0]


def test_mask_of_rank():
    x = keras.ops.array(X)
    wide = numpy(mask_of_rank(keras.ops.array(STEPS), x))
    np.testing.assert_array_equal(wide, np.repeat(STEPS[..., None], 3, -1))
    full = keras.ops.ones((2, 4, 3), "bool")
    assert mask_of_rank(full, x) is full


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
