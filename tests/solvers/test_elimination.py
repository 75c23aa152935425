"""Gauss-Jordan elimination, against NumPy in float64."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.solvers.elimination import eliminate


@pytest.mark.parametrize("size", [1, 2, 8, 40])
@pytest.mark.parametrize("columns", [1, 3])
def test_solves(size, columns):
    rng = np.random.default_rng(size)
    rows = rng.standard_normal((4, size, 3 * size))
    matrix = rows @ rows.swapaxes(1, 2) / (3 * size)
    right = rng.standard_normal((4, size, columns))
    found = eliminate(matrix.astype("float32"), right.astype("float32"))
    expected = np.linalg.solve(matrix, right)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), expected, rtol=1e-4, atol=1e-4
    )


def test_diagonals_far_apart():
    matrix = np.diag([1e12, 1.0, 1e-12]).astype("float32")
    right = np.ones((3, 1), "float32")
    found = ops.convert_to_numpy(eliminate(matrix, right))
    np.testing.assert_allclose(found[:, 0], [1e-12, 1.0, 1e12], rtol=1e-6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
