"""Systems of Gram matrices, against the pseudo-inverse in float64."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.solvers.pseudo_inverse import pseudo_solve

# Compiled once for each shape, in all tests.
compiled = testing.compiled(pseudo_solve, jit_compile=False)


def unit_rows(num_tasks, rank, count=20):
    rng = np.random.default_rng(num_tasks)
    rows = rng.standard_normal((count, num_tasks, rank))
    rows = rows @ rng.standard_normal((count, rank, 2 * num_tasks))
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def solve(cosines, vector):
    cosines = ops.convert_to_tensor(cosines.astype("float32"))
    vector = ops.convert_to_tensor(np.asarray(vector, "float32"))
    return map(ops.convert_to_numpy, compiled(cosines, vector))


def assert_solves(rows, vector):
    cosines = rows @ rows.swapaxes(-1, -2)
    solution, image = solve(cosines, vector)
    inverse = np.linalg.pinv(cosines, rcond=1e-6, hermitian=True)
    expected = inverse @ vector
    # Their error goes with the condition, what they give does not.
    np.testing.assert_allclose(
        (cosines @ solution[..., None])[..., 0], image, atol=2e-4
    )
    scale = np.linalg.norm(expected, axis=-1, keepdims=True) + 1
    np.testing.assert_allclose(solution / scale, expected / scale, atol=3e-3)


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 8, 40])
def test_independent(num_tasks):
    vector = np.arange(1.0, num_tasks + 1) / num_tasks
    assert_solves(unit_rows(num_tasks, 2 * num_tasks), vector)


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_dependent(rank):
    assert_solves(unit_rows(8, rank), np.ones(8))


def test_one_dependent_matrix_among_others():
    rows = unit_rows(8, 16)
    rows[3, 0] = rows[3, 1]
    assert_solves(rows, np.ones(8))


def test_both_ways_agree_where_they_meet():
    """Two gradients at an ever smaller angle, past the change of method."""
    angles = np.geomspace(1e-1, 5e-3, 25)
    for angle in angles:
        rows = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
        cosines = rows @ rows.T
        solution, image = solve(cosines, [1.0, 1.0])
        expected = np.full(2, 1 / (1 + np.cos(angle)))
        np.testing.assert_allclose(solution, expected, rtol=2e-2)
        np.testing.assert_allclose(image, [1, 1], rtol=1e-3)


def test_opposed_gradients_have_no_common_side():
    solution, image = solve(np.array([[1.0, -1.0], [-1.0, 1.0]]), [1.0, 1.0])
    np.testing.assert_array_equal(solution, [0, 0])
    np.testing.assert_array_equal(image, [0, 0])


def test_zero_gradient_takes_no_part():
    cosines = np.diag([1.0, 0.0, 1.0])
    solution, image = solve(cosines, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(solution, [1, 0, 3], rtol=1e-5)
    np.testing.assert_allclose(image, [1, 0, 3], rtol=1e-5)


def test_not_finite_shows():
    cosines = np.stack([np.eye(3), np.eye(3)])
    cosines[0, 1, 2] = cosines[0, 2, 1] = np.nan
    solution, _ = solve(cosines, np.ones(3))
    assert not np.isfinite(solution[0]).all()
    np.testing.assert_allclose(solution[1], np.ones(3), rtol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
