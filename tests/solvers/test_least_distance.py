"""Tests of shortest vectors that reach bounds, against SciPy in float64."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import nnls

from keras_mtl import testing
from keras_mtl.solvers.least_distance import least_distance

ROUNDING = 1e-6
# Compiled once for each shape, in all tests.
solve = testing.compiled(least_distance, jit_compile=False)


def vectors_of(multipliers, vectors, bounds):
    rounding = np.full((*bounds.shape[:-1], 1), ROUNDING, "float32")
    arguments = (vectors, bounds, rounding)
    found = multipliers(*(ops.convert_to_tensor(a) for a in arguments))
    found = ops.convert_to_numpy(found).astype("float64")
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    return np.einsum("...rt,...t->...r", vectors.astype("float64"), found)


def shortest(vectors, bounds):
    """None where no vector reaches the bounds."""
    columns = np.vstack([vectors, bounds]).astype("float64")
    last = np.eye(len(columns))[-1]
    gap = columns @ nnls(columns, last)[0] - last
    return None if np.linalg.norm(gap) < 1e-7 else -gap[:-1] / gap[-1]


def random_problems(rank, seed=0):
    """50 of six unit vectors in `rank` of six dimensions."""
    rng = np.random.default_rng(seed)
    vectors = np.zeros((50, 6, 6))
    vectors[:, :rank] = rng.standard_normal((50, rank, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    bounds = rng.uniform(-1, 1, (50, 6))
    return vectors.astype("float32"), bounds.astype("float32")


@pytest.mark.parametrize("rank", [1, 2, 3, 6])
def test_random(rank):
    vectors, bounds = random_problems(rank)
    found = vectors_of(solve, vectors, bounds)
    impossible = 0
    for v, b, x in zip(vectors, bounds, found):
        expected = shortest(v, b)
        if expected is None:
            impossible += 1
            expected = np.zeros(6)
        length = np.linalg.norm(expected)
        # A gap of 1 / |x| is known to rounding.
        assert np.linalg.norm(x - expected) < 1e-5 * (1 + length) ** 2
    assert impossible > 0 or rank > 3


def test_xla_changes_nothing():
    vectors, bounds = random_problems(3)
    expected = vectors_of(solve, vectors, bounds)
    compiled = testing.compiled(least_distance, jit_compile=True)
    found = vectors_of(compiled, vectors, bounds)
    lengths = np.linalg.norm(expected, axis=1)
    error = np.linalg.norm(found - expected, axis=1)
    assert (error < 1e-5 * (1 + lengths) ** 2).all()


def test_narrow_cone():
    # Only along the first axis both gain, and 1e-3 of a step at that.
    side = np.sqrt(1 - 1e-6)
    vectors = np.array([[1e-3, 1e-3], [side, -side]], "float32")
    x = vectors_of(solve, vectors, np.ones(2, "float32"))
    np.testing.assert_allclose(x, [1e3, 0], atol=5)


def test_opposed():
    vectors = np.array([[1.0, -1.0], [0.0, 0.0]], "float32")
    x = vectors_of(solve, vectors, np.array([0.5, 0.5], "float32"))
    np.testing.assert_array_equal(x, 0)


def test_bounds_that_zero_meets():
    vectors, bounds = random_problems(6)
    x = vectors_of(solve, vectors, -np.abs(bounds))
    np.testing.assert_array_equal(x, 0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
