"""Tests of the common treatment of Gram matrices."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import power_of_two
from keras_mtl.solvers.matrices import to_gram


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


class TestToGram:
    @pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
    def test_is_float32_at_least(self, dtype):
        assert dtype_of(to_gram(np.eye(2, dtype=dtype))) == "float32"

    @pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="JAX is in 32 bits"
    )
    def test_keeps_float64(self):
        assert dtype_of(to_gram(np.eye(2))) == "float64"

    def test_takes_lists(self):
        gram = to_gram([[1.0, 2.0], [2.0, 5.0]])
        assert ops.convert_to_numpy(gram).tolist() == [[1, 2], [2, 5]]

    @pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 1, 2)])
    def test_rejects_what_is_not_square(self, shape):
        with pytest.raises(ValueError, match=r"`gram` must hold square"):
            to_gram(np.zeros(shape))


class TestNormalize:
    def test_largest_diagonal_entry_is_one(self):
        grams = np.array([[[4.0, 2.0], [2.0, 2.0]], [[1.0, 0.0], [0.0, 10.0]]])
        normal = ops.convert_to_numpy(normalize(to_gram(grams)))
        expected = [[[1, 0.5], [0.5, 0.5]], [[0.1, 0], [0, 1]]]
        np.testing.assert_allclose(normal, expected, rtol=1e-6)

    def test_zero_stays_zero(self):
        normal = normalize(to_gram(np.zeros((2, 2))))
        assert ops.convert_to_numpy(normal).tolist() == [[0, 0], [0, 0]]

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_what_is_not_finite_stays_so(self, value):
        gram = np.array([[value, 1.0], [1.0, 1.0]], "float32")
        normal = ops.convert_to_numpy(normalize(to_gram(gram)))
        assert not np.isfinite(normal).all()


class TestHelpers:
    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_power_of_two_is_exact(self, jit_compile):
        exponents = np.arange(-126, 128)
        values = np.float32(1.5 * 2.0**exponents)
        found = testing.compiled(power_of_two, jit_compile=jit_compile)(values)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(found).astype("float64"), 2.0**exponents
        )

    def test_power_of_two_of_what_has_no_size_is_one(self):
        values = np.float32([0, -2, np.inf, np.nan])
        found = ops.convert_to_numpy(
            power_of_two(ops.convert_to_tensor(values))
        )
        assert found.tolist() == [1, 1, 1, 1]

    def test_diagonal(self):
        grams = np.arange(8.0).reshape(2, 2, 2)
        actual = ops.convert_to_numpy(diagonal(to_gram(grams)))
        assert actual.tolist() == [[0, 3], [4, 7]]

    def test_divisor(self):
        values = ops.convert_to_tensor([0.0, -0.0, 3.0, -2.0, 1e-30])
        actual = ops.convert_to_numpy(divisor(values))
        np.testing.assert_array_equal(
            actual, np.array([1, 1, 3, -2, 1e-30], "float32")
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
