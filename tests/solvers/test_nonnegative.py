"""Tests of nonnegative quadratic problems."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import nnls

from keras_mtl.solvers.nonnegative import nonnegative_quadratic
from keras_mtl.testing import compiled


def unit_problems(num_problems, size, rank, seed=0):
    """Positive semidefinite matrices with diagonal one, and right sides."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((num_problems, size, rank))
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    target = rng.standard_normal((num_problems, rank))
    vectors = np.einsum("ptr,pr->pt", rows, target)
    return rows, target, vectors


class TestNonnegativeQuadratic:
    @pytest.mark.parametrize("size, rank", [(2, 3), (5, 8), (8, 8), (12, 6)])
    def test_solves_least_squares(self, size, rank):
        rows, target, vectors = unit_problems(100, size, rank)
        matrices = rows @ rows.transpose(0, 2, 1)
        solve = compiled(nonnegative_quadratic, jit_compile=False)
        solutions = ops.convert_to_numpy(
            solve(matrices.astype("float32"), vectors.astype("float32"))
        ).astype("float64")
        assert (solutions >= 0).all()
        for x, a, b in zip(solutions, rows, target):
            _, best = nnls(a.T, b)
            residual = a.T @ x - b
            assert residual @ residual - best**2 < 1e-5 * (b @ b)

    def test_optimality_conditions(self):
        rows, _, vectors = unit_problems(200, 6, 10, seed=1)
        matrices = rows @ rows.transpose(0, 2, 1)
        x = ops.convert_to_numpy(
            nonnegative_quadratic(
                ops.convert_to_tensor(matrices.astype("float32")),
                ops.convert_to_tensor(vectors.astype("float32")),
            )
        )
        slope = np.einsum("pij,pj->pi", matrices, x) - vectors
        assert slope.min() > -1e-4
        assert np.abs(slope * x).max() < 1e-4

    def test_nothing_to_gain_is_zero(self):
        x = nonnegative_quadratic(
            ops.eye(3), ops.convert_to_tensor([-1.0, 0.0, -2.0])
        )
        assert ops.convert_to_numpy(x).tolist() == [0, 0, 0]

    def test_one_variable(self):
        x = nonnegative_quadratic(
            ops.convert_to_tensor([[2.0]]), ops.convert_to_tensor([1.0])
        )
        assert ops.convert_to_numpy(x).tolist() == [0.5]

    def test_leading_axes(self):
        rows, _, vectors = unit_problems(6, 4, 5)
        matrices = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        vectors = vectors.astype("float32")
        flat = ops.convert_to_numpy(
            nonnegative_quadratic(
                ops.convert_to_tensor(matrices), ops.convert_to_tensor(vectors)
            )
        )
        shaped = ops.convert_to_numpy(
            nonnegative_quadratic(
                ops.convert_to_tensor(matrices.reshape(2, 3, 4, 4)),
                ops.convert_to_tensor(vectors.reshape(2, 3, 4)),
            )
        )
        assert shaped.shape == (2, 3, 4)
        np.testing.assert_allclose(shaped.reshape(6, 4), flat, atol=1e-6)

    def test_not_finite_ends_and_shows(self):
        matrix = ops.convert_to_tensor([[1.0, np.nan], [np.nan, 1.0]])
        x = nonnegative_quadratic(matrix, ops.ones((2,)))
        assert np.isnan(ops.convert_to_numpy(x)).any()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
