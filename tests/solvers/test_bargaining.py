"""Tests of bargains, against float64 solutions that certify themselves."""

import functools

import keras
import numpy as np
import pytest
from keras import ops
from scipy.optimize import minimize
from scipy.optimize import root

from keras_mtl import testing
from keras_mtl.solvers.bargaining import bargaining_weights
from tests.tiers import slow_except

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ALPHAS = (0.05, 0.5, 1.0, 2.0, 20.0)


# Compiled once for each alpha and shape, in all tests.
@functools.cache
def solver(alpha):
    return testing.compiled(
        functools.partial(bargaining_weights, alpha=alpha), jit_compile=False
    )


def solution(rows, alpha):
    """Weights in float64, by SciPy on their logarithms.

    w > 0 with w^(1 / alpha) K w = 1 is the solution, as there is but one.
    """
    gram = rows @ rows.T
    power = 1 / alpha

    def objective(logs):
        weights = np.exp(logs)
        own = logs if alpha == 1 else weights ** (1 - power) / (1 - power)
        return weights @ gram @ weights / 2 - own.sum()

    def gradient(logs):
        weights = np.exp(logs)
        return weights * (gram @ weights) - weights ** (1 - power)

    def hessian(logs):
        weights = np.exp(logs)
        own = weights * (gram @ weights)
        own = own - (1 - power) * weights ** (1 - power)
        return np.outer(weights, weights) * gram + np.diag(own)

    def gains(logs):
        return np.exp(power * logs) * (gram @ np.exp(logs)) - 1

    start = -np.log(np.diag(gram)) / (1 + power)
    near = minimize(
        objective,
        start,
        jac=gradient,
        hess=hessian,
        method="trust-exact",
        options={"gtol": 1e-10, "maxiter": 500},
    )
    found = root(gains, near.x, tol=1e-14).x
    assert np.abs(gains(found)).max() < 1e-7
    return np.exp(found)


def errors(jacobians, alpha):
    """Relative errors of the updates, from float32 Gram matrices."""
    rows = jacobians.astype("float32").astype("float64")
    grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
    weights = ops.convert_to_numpy(solver(alpha)(grams)).astype("float64")
    assert (weights > 0).all()
    updates = np.einsum("nt,nti->ni", weights, rows)
    best = np.array([solution(j, alpha) @ j for j in rows])
    gaps = np.linalg.norm(updates - best, axis=1)
    return gaps / np.linalg.norm(best, axis=1)


class TestClosedForms:
    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_orthogonal(self, alpha):
        squares = np.array([1e-6, 1.0, 4.0, 1e6])
        weights = ops.convert_to_numpy(
            bargaining_weights(
                ops.convert_to_tensor(np.diag(squares).astype("float32")),
                alpha,
            )
        )
        expected = squares ** (-alpha / (1 + alpha))
        np.testing.assert_allclose(weights, expected, rtol=1e-4)

    @pytest.mark.parametrize("alpha", slow_except(ALPHAS, 1.0))
    def test_two_of_one_length(self, alpha):
        cosines = np.linspace(-0.99, 1, 200)
        grams = 9 * np.stack(
            [[np.ones(200), cosines], [cosines, np.ones(200)]]
        ).transpose(2, 0, 1)
        weights = ops.convert_to_numpy(solver(alpha)(grams.astype("float32")))
        expected = (9 * (1 + cosines)) ** (-alpha / (1 + alpha))
        expected = np.stack([expected, expected], axis=1)
        np.testing.assert_allclose(weights, expected, rtol=2e-4)

    def test_two_with_logarithms(self):
        # Unit gradients have weights 1 / sqrt(1 + cosine), then.
        rows = np.random.default_rng(0).standard_normal((500, 2, 3))
        grams = rows @ rows.transpose(0, 2, 1)
        norms = np.sqrt(np.diagonal(grams, axis1=1, axis2=2))
        cosines = grams[:, 0, 1] / norms[:, 0] / norms[:, 1]
        expected = 1 / np.sqrt(1 + cosines)[:, None] / norms
        weights = ops.convert_to_numpy(solver(1.0)(grams.astype("float32")))
        usual = cosines > -0.99
        assert usual.sum() > 400
        np.testing.assert_allclose(weights[usual], expected[usual], rtol=1e-4)

    def test_duplicates_share(self):
        gram = np.array([[4.0, 4.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
        weights = bargaining_weights(ops.convert_to_tensor(gram))
        expected = [1 / 8**0.5, 1 / 8**0.5, 1]
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), expected, rtol=1e-5
        )

    def test_one_task(self):
        weights = bargaining_weights(ops.convert_to_tensor([[4.0]]))
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), [0.5], rtol=1e-6
        )


class TestAccuracy:
    @pytest.mark.parametrize(
        "num_tasks, alpha",
        slow_except([(3, 1.0), (40, 2.0), *((8, a) for a in ALPHAS)], (3, 1.0)),
    )
    def test_random(self, num_tasks, alpha):
        rng = np.random.default_rng(num_tasks)
        rows = rng.standard_normal((20, num_tasks, 2 * num_tasks))
        assert errors(rows, alpha).max() < 1e-4

    @pytest.mark.slow
    @pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 20.0])
    def test_norms_that_differ_by_ten_thousand(self, alpha):
        rng = np.random.default_rng(8)
        rows = rng.standard_normal((20, 8, 16))
        norms = 10 ** rng.uniform(-2, 2, rows.shape[:2])
        norms[:, 0], norms[:, -1] = 1e-2, 1e2
        assert errors(rows * norms[..., None], alpha).max() < 1e-3

    @pytest.mark.parametrize("alpha", [0.05, 20.0])
    def test_extreme_alpha_at_uneven_norms(self, alpha):
        # SciPy finds no solution of some; no loss may rise, though.
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((20, 8, 16))
        rows = rows * 10 ** rng.uniform(-2, 2, (20, 8, 1))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        weights = ops.convert_to_numpy(solver(alpha)(grams))
        assert (np.isfinite(weights) & (weights > 0)).all()
        updates = np.einsum("nt,nti->ni", weights, rows)
        gains = np.einsum("nti,ni->nt", rows, updates)
        gains /= np.linalg.norm(rows, axis=2)
        lengths = np.linalg.norm(updates, axis=1, keepdims=True)
        assert (gains > -1e-4 * lengths).all()

    @pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
    def test_nearly_equal_gradients(self, alpha):
        rng = np.random.default_rng(0)
        common = rng.standard_normal((20, 1, 16))
        noise = rng.standard_normal((20, 8, 16))
        assert errors(common + 1e-3 * noise, alpha).max() < 1e-4

    @pytest.mark.slow
    @pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX is in 32 bits")
    def test_float64(self):
        rows = np.random.default_rng(0).standard_normal((5, 8, 16))
        grams = ops.convert_to_tensor(rows @ rows.transpose(0, 2, 1))
        weights = ops.convert_to_numpy(solver(1.0)(grams))
        assert weights.dtype == "float64"
        expected = [solution(j, 1.0) for j in rows]
        np.testing.assert_allclose(weights, expected, rtol=1e-9)


class TestScale:
    @pytest.mark.parametrize("alpha", slow_except(ALPHAS, 1.0))
    def test_weights_scale_by_a_power(self, alpha):
        rows = np.random.default_rng(0).standard_normal((3, 6))
        scales = np.array([1e-15, 1e-6, 1.0, 1e6, 1e15])[:, None]
        grams = (scales**2)[..., None] * (rows @ rows.T)
        weights = ops.convert_to_numpy(solver(alpha)(grams.astype("float32")))
        expected = weights[2] * scales ** (-2 * alpha / (1 + alpha))
        np.testing.assert_allclose(weights, expected, rtol=1e-4)


class TestDegenerate:
    @pytest.mark.parametrize("alpha", slow_except(ALPHAS, 1.0))
    def test_zero_gradients_take_no_part(self, alpha):
        rows = np.random.default_rng(0).standard_normal((3, 6))
        weights = ops.convert_to_numpy(
            solver(alpha)((rows @ rows.T).astype("float32"))
        )
        more = np.insert(rows, [0, 2], 0, axis=0)
        found = ops.convert_to_numpy(
            solver(alpha)((more @ more.T).astype("float32"))
        )
        assert found[[0, 3]].tolist() == [0, 0]
        np.testing.assert_allclose(found[[1, 2, 4]], weights, rtol=1e-4)

    def test_all_zero(self):
        weights = bargaining_weights(ops.zeros((3, 4, 4)))
        assert (ops.convert_to_numpy(weights) == 0).all()

    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_zero_in_the_hull(self, alpha):
        # A convex combination vanishes, of two gradients only in one half.
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((20, 8, 16))
        shares = rng.uniform(size=(20, 7, 1))
        shares[:10, 1:] = 0
        rows[:, -1] = -(shares * rows[:, :-1]).sum(axis=1)
        rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        weights = ops.convert_to_numpy(solver(alpha)(grams))
        assert np.isfinite(weights).all()
        assert (weights > 0).all()
        assert weights.max() < 1e7

    @pytest.mark.slow
    @pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
    def test_more_tasks_than_coordinates(self, alpha):
        # Most hulls hold the origin, where no solution exists.
        rows = np.zeros((400, 20, 10))
        rng = np.random.default_rng(0)
        for index, row in enumerate(rows):
            width = 1 + index % 10
            row[:, :width] = rng.standard_normal((20, width))
        rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        weights = ops.convert_to_numpy(solver(alpha)(grams))
        assert np.isfinite(weights).all()
        assert (weights > 0).all()
        updates = np.einsum("nt,nti->ni", weights, rows)
        lost = -np.einsum("nti,ni->nt", rows, updates).min(axis=1)
        # Ordinary updates have a length of about four, the root of T.
        assert lost.max() < 0.05

    @pytest.mark.slow
    @pytest.mark.parametrize("alpha", [1.0, 2.0])
    def test_more_rounding_than_margin(self, alpha):
        # Inner products as training takes them, in float32: some matrices are
        # further from positive definite than the first margin makes up for.
        rows = np.zeros((400, 20, 100))
        rng = np.random.default_rng(0)
        for index, row in enumerate(rows):
            rank = 2 + index % 6
            left = rng.standard_normal((20, rank))
            row[:] = left @ rng.standard_normal((rank, 100))
        rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
        rows = rows.astype("float32")
        weights = ops.convert_to_numpy(
            solver(alpha)(rows @ rows.transpose(0, 2, 1))
        )
        assert np.isfinite(weights).all()
        assert (weights > 0).all()
        updates = np.einsum("nt,nti->ni", weights, rows.astype("float64"))
        lost = -np.einsum("nti,ni->nt", rows, updates).min(axis=1)
        assert lost.max() < 0.05

    @pytest.mark.slow
    def test_opposed(self):
        gram = ops.convert_to_tensor([[1.0, -1.0], [-1.0, 1.0]])
        weights = ops.convert_to_numpy(bargaining_weights(gram))
        assert 100 < weights.min() <= weights.max() < 1e4
        np.testing.assert_allclose(weights[0], weights[1], rtol=1e-6)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite_shows(self, value):
        rows = np.random.default_rng(0).standard_normal((2, 3, 6))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        expected = ops.convert_to_numpy(solver(1.0)(grams))
        grams[1, 0, 1] = grams[1, 1, 0] = value
        weights = ops.convert_to_numpy(solver(1.0)(grams))
        np.testing.assert_allclose(weights[0], expected[0], rtol=1e-4)
        assert not np.isfinite(weights[1]).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
