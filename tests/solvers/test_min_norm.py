"""Tests of the point of least norm, against a float64 optimum."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.optimize import minimize
from scipy.optimize import nnls

from keras_mtl import testing
from keras_mtl.solvers.min_norm import min_norm_weights
from tests.tiers import slow_except

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ZOO = testing.jacobians((2, 3, 8, 40))
QUICK = ("normal_3", "opposed_3", "duplicate_3", "all_zero_3")

# Compiled once for each shape, in all tests.
solve = testing.compiled(min_norm_weights, jit_compile=False)


def optimum(rows):
    """Least squared norm in the convex hull of the rows, in float64.

    By SciPy's least squares on the gradients, not on their Gram matrix, and
    certified by the duality gap: for any point d of the hull, no point is
    shorter than min_t g_t . d / |d|.
    """
    norms = np.linalg.norm(rows, axis=1)
    inverse = norms.min() / norms
    stacked = np.vstack([(rows / norms[:, None]).T, inverse])
    target = np.zeros(len(stacked))
    target[-1] = 1
    solution, _ = nnls(stacked, target, maxiter=1000)
    weights = solution * inverse
    point = weights @ rows / weights.sum()
    square = point @ point
    assert square - (rows @ point).min() < 1e-7 * square
    return square


def excess(jacobians):
    """Relative excess of |d|^2 over the optimum, of float32 Gram matrices."""
    rows = jacobians.astype("float32").astype("float64")
    grams = rows @ rows.transpose(0, 2, 1)
    weights = ops.convert_to_numpy(solve(grams.astype("float32")))
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    points = np.einsum("nt,nti->ni", weights.astype("float64"), rows)
    squares = (points**2).sum(axis=1)
    return squares / np.array([optimum(j) for j in rows]) - 1


def random_jacobians(num_tasks, seed, count=1000):
    """A quarter each of n = T, T + 1, 2 T and 100 (padded by zeros)."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, num_tasks, 100))
    for part, size in enumerate([num_tasks, num_tasks + 1, 2 * num_tasks, 100]):
        quarter = np.s_[part * count // 4 : (part + 1) * count // 4]
        rows[quarter, :, :size] = rng.standard_normal(
            (count // 4, num_tasks, size)
        )
    return rows


class TestAccuracy:
    @pytest.mark.parametrize("num_tasks", slow_except([2, 3, 5, 8, 16, 40], 5))
    def test_random(self, num_tasks):
        assert excess(random_jacobians(num_tasks, seed=num_tasks)).max() < 1e-5

    @pytest.mark.slow
    @pytest.mark.parametrize("num_tasks", [2, 3, 5, 8, 16, 40])
    def test_norms_that_differ_by_ten_thousand(self, num_tasks):
        rng = np.random.default_rng(num_tasks)
        rows = random_jacobians(num_tasks, seed=100 + num_tasks)
        norms = 10 ** rng.uniform(-2, 2, rows.shape[:2])
        norms[:, 0], norms[:, -1] = 1e-2, 1e2
        assert excess(rows * norms[..., None]).max() < 1e-5

    @pytest.mark.slow
    @pytest.mark.parametrize("num_tasks", [3, 8, 40])
    def test_nearly_equal_gradients(self, num_tasks):
        rng = np.random.default_rng(num_tasks)
        common = rng.standard_normal((200, 1, 50))
        for size in (1e-1, 1e-2, 1e-3):
            noise = rng.standard_normal((200, num_tasks, 50))
            assert excess(common + size * noise).max() < 1e-5

    @pytest.mark.parametrize("num_tasks", [8, 16, 40])
    def test_dependent_gradients(self, num_tasks):
        # Half of these hulls hold the origin, and many nearly do.
        rng = np.random.default_rng(num_tasks)
        rows = rng.standard_normal((200, num_tasks, num_tasks // 2))
        rows = rows.astype("float32").astype("float64")
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        weights = ops.convert_to_numpy(solve(grams)).astype("float64")
        for gram, row, weight in zip(grams, rows, weights):
            problem = np.vstack([row.T, np.ones(num_tasks)])
            target = np.append(np.zeros(row.shape[1]), 1)
            best, _ = nnls(problem, target, maxiter=1000)
            best = best / best.sum() @ row
            point = weight @ row
            gap = point @ point - best @ best
            assert gap < 1e-5 * np.diag(gram).min()

    @pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX is in 32 bits")
    def test_float64(self):
        rows = np.random.default_rng(0).standard_normal((50, 5, 6))
        weights = ops.convert_to_numpy(
            min_norm_weights(
                ops.convert_to_tensor(rows @ rows.transpose(0, 2, 1))
            )
        )
        assert weights.dtype == "float64"
        points = np.einsum("nt,nti->ni", weights, rows)
        best = np.array([optimum(j) for j in rows])
        assert ((points**2).sum(axis=1) / best - 1).max() < 1e-12

    def test_agrees_with_sequential_quadratic_programming(self):
        rows = np.random.default_rng(3).standard_normal((4, 6))
        gram = rows @ rows.T
        found = minimize(
            lambda w: w @ gram @ w,
            np.full(4, 0.25),
            jac=lambda w: 2 * gram @ w,
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14},
        )
        weights = ops.convert_to_numpy(
            min_norm_weights(ops.convert_to_tensor(gram.astype("float32")))
        )
        np.testing.assert_allclose(weights, found.x, atol=1e-4)


class TestDegenerate:
    @pytest.mark.parametrize("name", slow_except(ZOO, *QUICK))
    def test_zoo(self, name):
        rows = ZOO[name].astype("float64")
        gram = (rows @ rows.T).astype("float32")
        weights = ops.convert_to_numpy(solve(gram)).astype("float64")
        assert np.isfinite(weights).all()
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(), 1, atol=1e-5)
        # No vertex of the hull is shorter, and none lies below the plane
        # through the point.
        point = weights @ rows
        squares = (rows**2).sum(axis=1)
        assert point @ point <= squares.min() * (1 + 1e-5)
        along = rows @ point - point @ point
        scale = np.sqrt(squares * squares.min())
        assert (along >= -2e-3 * scale - 1e-45).all()

    def test_zero_gradients_share_the_weight(self):
        squares = np.diag([4.0, 0.0, 1.0, 0.0]).astype("float32")
        weights = min_norm_weights(ops.convert_to_tensor(squares))
        expected = [0, 0.5, 0, 0.5]
        np.testing.assert_allclose(ops.convert_to_numpy(weights), expected)

    def test_all_zero_is_the_mean(self):
        weights = min_norm_weights(ops.zeros((3, 4, 4)))
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), np.full((3, 4), 0.25)
        )

    def test_one_task(self):
        weights = min_norm_weights(ops.convert_to_tensor([[3.0]]))
        np.testing.assert_allclose(ops.convert_to_numpy(weights), [1])

    def test_not_finite_shows(self):
        gram = ops.convert_to_tensor([[1.0, np.nan], [np.nan, 1.0]])
        weights = ops.convert_to_numpy(min_norm_weights(gram))
        assert np.isnan(weights).any()

    @pytest.mark.slow
    def test_compiled_by_xla(self):
        rows = np.random.default_rng(0).standard_normal((20, 8, 9))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        by_xla = ops.convert_to_numpy(
            testing.compiled(min_norm_weights, jit_compile=True)(grams)
        )
        by_graph = ops.convert_to_numpy(solve(grams))
        np.testing.assert_allclose(by_xla, by_graph, atol=1e-4)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
