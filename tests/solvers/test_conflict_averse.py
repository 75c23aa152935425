"""Tests of the conflict-averse update, against float64 optima."""

import functools

import keras
import numpy as np
import pytest
from keras import ops
from scipy.optimize import brentq
from scipy.optimize import minimize
from scipy.optimize import nnls

from keras_mtl import testing
from keras_mtl.solvers.conflict_averse import conflict_averse_weights
from tests.tiers import slow_except

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
RADII = (0.1, 0.4, 1.0, 3.0)


# Compiled once for each radius and shape, in all tests.
@functools.cache
def solver(c):
    return testing.compiled(
        functools.partial(conflict_averse_weights, c=c), jit_compile=False
    )


def solve(rows, c):
    grams = rows @ np.swapaxes(rows, -1, -2)
    weights = solver(c)(grams.astype("float32"))
    return ops.convert_to_numpy(weights).astype("float64")


def nearest(rows, level):
    """The d nearest to the mean with rows @ d >= level, in float64.

    Least distance programming by SciPy's nonnegative least squares (Lawson and
    Hanson), on the gradients and not on their Gram matrix.
    """
    mean = rows.mean(axis=0)
    wanted = level - rows @ mean
    if (wanted <= 0).all():
        return mean
    stacked = np.vstack([rows.T, wanted])
    target = np.zeros(len(stacked))
    target[-1] = 1
    residual = stacked @ nnls(stacked, target, maxiter=5000)[0] - target
    if abs(residual[-1]) < 1e-12:  # Out of reach.
        return np.full_like(mean, 1e12)
    return mean - residual[:-1] / residual[-1]


def optimum(rows, c):
    """The level is as high as the ball allows: a root in one unknown."""
    mean = rows.mean(axis=0)
    radius = c * np.linalg.norm(mean)

    def outside(level):
        return np.linalg.norm(nearest(rows, level) - mean) - radius

    lowest = (rows @ mean).min()
    # By Cauchy and Schwarz; a bit more, for rounding.
    highest = np.linalg.norm(rows, axis=1).min() * np.linalg.norm(mean)
    highest = 1.01 * (1 + c) * highest
    level = brentq(outside, lowest, highest, xtol=1e-14 * highest)
    return nearest(rows, level)


def errors(jacobians, c):
    """Relative errors of the updates, from float32 Gram matrices."""
    rows = jacobians.astype("float32").astype("float64")
    updates = np.einsum("nt,nti->ni", solve(rows, c), rows)
    best = np.array([optimum(j, c) for j in rows])
    gaps = np.linalg.norm(updates - best, axis=1)
    return gaps / np.linalg.norm(best, axis=1)


class TestTwoTasks:
    @pytest.mark.parametrize("c", slow_except(RADII, 0.4))
    def test_closed_form(self, c):
        # F on the edge between two gradients is a line plus a hyperbola.
        rows = np.random.default_rng(0).standard_normal((500, 2, 3))
        first, edge = rows[:, 0], rows[:, 1] - rows[:, 0]
        mean = rows.mean(axis=1)
        radius = c * np.linalg.norm(mean, axis=1)
        square = (edge**2).sum(axis=1)
        along = (mean * edge).sum(axis=1)
        middle = (first * edge).sum(axis=1) / square
        height = (first**2).sum(axis=1) - middle**2 * square
        inside = square * (radius**2 * square - along**2)
        bent = -along * np.sqrt(height / np.where(inside > 0, inside, 1))
        share = np.where(
            inside > 0, np.clip(bent - middle, 0, 1), 1.0 * (along < 0)
        )
        point = first + share[:, None] * edge
        point *= (radius / np.linalg.norm(point, axis=1))[:, None]
        updates = np.einsum("nt,nti->ni", solve(rows, c), rows)
        np.testing.assert_allclose(updates, mean + point, atol=1e-4)


class TestAccuracy:
    @pytest.mark.parametrize(
        "num_tasks, c",
        slow_except(
            [(2, 0.4), (3, 0.4), (40, 0.4), *((8, c) for c in RADII)],
            (3, 0.4),
        ),
    )
    def test_random(self, num_tasks, c):
        rng = np.random.default_rng(num_tasks)
        rows = rng.standard_normal((10, num_tasks, num_tasks + 5))
        assert errors(rows, c).max() < 1e-4

    @pytest.mark.slow
    @pytest.mark.parametrize("c", [0.4, 1.0])
    @pytest.mark.parametrize("num_tasks", [2, 8])
    def test_norms_that_differ_by_ten_thousand(self, num_tasks, c):
        rng = np.random.default_rng(num_tasks)
        rows = rng.standard_normal((10, num_tasks, 2 * num_tasks))
        norms = 10 ** rng.uniform(-2, 2, rows.shape[:2])
        norms[:, 0], norms[:, -1] = 1e-2, 1e2
        assert errors(rows * norms[..., None], c).max() < 1e-4

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [1e-1, 1e-3])
    def test_nearly_equal_gradients(self, size):
        rng = np.random.default_rng(0)
        common = rng.standard_normal((10, 1, 16))
        noise = rng.standard_normal((10, 8, 16))
        assert errors(common + size * noise, 0.4).max() < 1e-4

    @pytest.mark.parametrize(
        "num_tasks, c",
        slow_except([(3, 0.4), (40, 0.4), *((8, c) for c in RADII)], (3, 0.4)),
    )
    def test_no_duality_gap(self, num_tasks, c):
        # No d of the ball gains more than F of any weights.
        rng = np.random.default_rng(num_tasks)
        rows = rng.standard_normal((100, num_tasks, 2 * num_tasks))
        rows = rows.astype("float32").astype("float64")
        means = rows.mean(axis=1)
        radii = c * np.linalg.norm(means, axis=1)
        pushes = solve(rows, c) - 1 / num_tasks
        assert (pushes >= -1e-6).all()
        parts = np.einsum("nt,nti->ni", pushes, rows)
        lengths = np.linalg.norm(parts, axis=1)
        np.testing.assert_allclose(lengths, radii, rtol=1e-4)
        bound = (means * parts).sum(axis=1) + radii * lengths
        bound = bound / pushes.sum(axis=1)
        gains = np.einsum("nti,ni->nt", rows, means + parts).min(axis=1)
        squares = (rows**2).sum(axis=2).min(axis=1)
        assert (np.abs(bound - gains) < 1e-5 * squares).all()

    @pytest.mark.slow
    def test_agrees_with_sequential_quadratic_programming(self):
        rows = np.random.default_rng(3).standard_normal((4, 6))
        gram = rows @ rows.T
        radius = 0.4 * np.sqrt(gram.mean())
        found = minimize(
            lambda w: w @ gram.mean(axis=1) + radius * np.sqrt(w @ gram @ w),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-15},
        ).x
        factor = radius / np.sqrt(found @ gram @ found)
        expected = 0.25 + factor * found
        np.testing.assert_allclose(solve(rows, 0.4), expected, atol=1e-5)

    @pytest.mark.slow
    @pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX is in 32 bits")
    def test_float64(self):
        rows = np.random.default_rng(0).standard_normal((5, 8, 13))
        grams = ops.convert_to_tensor(rows @ rows.transpose(0, 2, 1))
        weights = ops.convert_to_numpy(solver(0.4)(grams))
        assert weights.dtype == "float64"
        for weight, row in zip(weights, rows):
            np.testing.assert_allclose(
                weight @ row, optimum(row, 0.4), atol=1e-9
            )


class TestDegenerate:
    @pytest.mark.slow
    @pytest.mark.parametrize("num_tasks", [3, 8])
    def test_stationary_is_the_nearest_without_conflict(self, num_tasks):
        # Hulls that hold the origin, and balls that reach the dual cone.
        rng = np.random.default_rng(num_tasks)
        rows = rng.standard_normal((20, num_tasks, 2 * num_tasks))
        shares = rng.uniform(size=(20, num_tasks - 1, 1))
        rows[:, -1] = -(shares * rows[:, :-1]).sum(axis=1)
        rows = rows.astype("float32").astype("float64")
        longest = np.linalg.norm(rows, axis=2).max(axis=1)
        weights = solve(rows, 3.0)
        assert np.isfinite(weights).all()
        updates = np.einsum("nt,nti->ni", weights, rows)
        best = np.array([nearest(j, 0) for j in rows])
        gaps = np.linalg.norm(updates - best, axis=1)
        assert (gaps < 5e-3 * longest).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("c", [0.4, 3.0])
    def test_more_tasks_than_coordinates(self, c):
        rows = np.zeros((60, 20, 10))
        rng = np.random.default_rng(0)
        for index, row in enumerate(rows):
            width = 1 + index % 10
            row[:, :width] = rng.standard_normal((20, width))
        rows = rows.astype("float32").astype("float64")
        longest = np.linalg.norm(rows, axis=2).max(axis=1)
        means = rows.mean(axis=1)
        weights = solve(rows, c)
        assert np.isfinite(weights).all()
        updates = np.einsum("nt,nti->ni", weights, rows)
        # Many d may gain as much: it is in the ball, and none gains more.
        gaps = np.linalg.norm(updates - means, axis=1)
        assert (gaps < c * np.linalg.norm(means, axis=1) + 1e-3).all()
        gains = np.einsum("nti,ni->nt", rows, updates).min(axis=1)
        best = np.array([(j @ optimum(j, c)).min() for j in rows])
        assert (gains > best - 1e-3 * longest**2).all()
        if c > 1:
            # In up to three coordinates no d serves all.
            few = np.arange(len(rows)) % 10 < 3
            assert (np.linalg.norm(updates[few], axis=1) < 1e-2).all()

    def test_zero_gradient_counts_in_the_mean_only(self):
        rows = np.random.default_rng(0).standard_normal((4, 8))
        rows[1] = 0
        weights = solve(rows, 0.4)
        np.testing.assert_allclose(weights[1], 0.25)
        # Three tasks alone have a mean 4 / 3 as long.
        mean = rows.mean(axis=0)
        radius = 0.4 * np.linalg.norm(mean)
        others = rows[[0, 2, 3]]
        update = weights @ rows
        found = minimize(
            lambda z: -z[-1],
            np.append(mean, 0),
            constraints=[
                {"type": "ineq", "fun": lambda z: others @ z[:-1] - z[-1]},
                {
                    "type": "ineq",
                    "fun": lambda z: radius**2 - ((z[:-1] - mean) ** 2).sum(),
                },
            ],
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(update, found.x[:-1], atol=1e-5)

    def test_no_radius_is_the_mean(self):
        rows = np.random.default_rng(0).standard_normal((10, 3, 8))
        weights = conflict_averse_weights(rows @ rows.transpose(0, 2, 1), 0.0)
        weights = ops.convert_to_numpy(weights)
        np.testing.assert_allclose(weights, np.full((10, 3), 1 / 3), rtol=1e-6)

    def test_all_zero_is_the_mean(self):
        weights = conflict_averse_weights(ops.zeros((3, 4, 4)), 0.4)
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), np.full((3, 4), 0.25)
        )

    @pytest.mark.slow
    def test_opposed_is_the_mean(self):
        weights = solve(np.array([[3.0, 1.0], [-3.0, -1.0]]), 0.4)
        np.testing.assert_allclose(weights, [0.5, 0.5])

    def test_one_task(self):
        weights = solve(np.array([[3.0, 1.0]]), 0.4)
        np.testing.assert_allclose(weights, [1.4], rtol=1e-6)

    def test_equal_gradients(self):
        rows = np.ones((4, 3))
        update = solve(rows, 0.4) @ rows
        np.testing.assert_allclose(update, [1.4] * 3, rtol=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite_shows(self, value):
        rows = np.random.default_rng(0).standard_normal((2, 3, 6))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        expected = ops.convert_to_numpy(solver(0.4)(grams))
        grams[1, 0, 1] = grams[1, 1, 0] = value
        weights = ops.convert_to_numpy(solver(0.4)(grams))
        np.testing.assert_allclose(weights[0], expected[0], rtol=1e-4)
        assert not np.isfinite(weights[1]).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
