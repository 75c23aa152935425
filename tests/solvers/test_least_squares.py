"""Tests of nonnegative least squares, against SciPy in float64."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import nnls

from keras_mtl import testing
from keras_mtl.solvers.least_squares import grow
from keras_mtl.solvers.least_squares import nobody
from keras_mtl.solvers.least_squares import nonnegative_least_squares

# Compiled once for each shape, in all tests.
solve = testing.compiled(nonnegative_least_squares, jit_compile=False)


def problems(count, size, rank, seed=0):
    """Unit vectors as columns in `rank` of `size` dimensions, and targets."""
    rng = np.random.default_rng(seed)
    vectors = np.zeros((count, size, size))
    vectors[:, :rank] = rng.standard_normal((count, rank, size))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype("float32"), rng.standard_normal((count, size)).astype(
        "float32"
    )


def solutions_of(vectors, targets):
    found = solve(
        ops.convert_to_tensor(vectors), ops.convert_to_tensor(targets)
    )
    return ops.convert_to_numpy(found).astype("float64")


def gap(vectors, target, x):
    return target - vectors.astype("float64") @ x


@pytest.mark.parametrize("rank", [1, 2, 5, 8])
def test_gap_is_that_of_float64(rank):
    vectors, targets = problems(50, 8, rank)
    for v, t, x in zip(vectors, targets, solutions_of(vectors, targets)):
        expected = gap(v, t, nnls(v.astype("float64"), t)[0])
        assert (x >= 0).all()
        # With k active vectors weights are known to their condition.
        allowed = 1e-6 * (np.linalg.norm(t) + x.sum())
        assert np.linalg.norm(gap(v, t, x) - expected) < allowed


def test_vectors_that_are_nearly_the_same():
    vectors, targets = problems(50, 8, 8)
    vectors[:, :, 1] = vectors[:, :, 0]
    vectors[:, 0, 1] += 1e-5
    x = solutions_of(vectors, targets)
    # A weight of 1e5 would fit the target better, and round more away.
    assert x.max() < 1e3
    for v, t, weights in zip(vectors, targets, x):
        assert (v.T @ gap(v, t, weights)).max() < 1e-4


def test_dependent_vector_stays_out():
    vectors = np.eye(3, dtype="float32")
    vectors[:, 2] = [0.6, 0.8, 0.0]
    active = nobody(ops.convert_to_tensor(vectors))
    for variable in (0, 1, 2):
        active = grow(active, vectors, np.eye(3, dtype="float32")[variable])
    assert ops.convert_to_numpy(active.members).tolist() == [1, 1, 0]
    assert ops.convert_to_numpy(active.dependent).tolist() == [0, 0, 1]


def test_not_finite_ends_and_shows():
    vectors, targets = problems(2, 8, 3)
    targets[0, 0] = np.nan
    x = solutions_of(vectors, targets)
    assert np.isfinite(x[1]).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
