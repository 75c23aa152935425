"""Tests of the projection onto the dual cone, against SciPy in float64."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.optimize import nnls

from keras_mtl import testing
from keras_mtl.solvers.dual_cone import dual_cone_sum_weights
from keras_mtl.solvers.dual_cone import dual_cone_weights
from tests.tiers import slow_except

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ZOO = testing.jacobians((2, 3, 8))

# Compiled once for each shape, in all tests.
project = testing.compiled(dual_cone_weights, jit_compile=False)
project_sum = testing.compiled(dual_cone_sum_weights, jit_compile=False)


def projection(rows, vector):
    """The point of the dual cone next to a vector, in float64.

    By SciPy's least squares on the unit gradients (the distance to the cone
    that they span is what the projection leaves), not on their Gram matrix.
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows / np.where(norms == 0, 1, norms)
    multipliers, _ = nnls(units.T, -vector, maxiter=10000)
    return vector + multipliers @ units


def sum_of_projections(rows, preference):
    return sum(projection(rows, u * row) for u, row in zip(preference, rows))


def random_problems(num_tasks, size, spread, count=20):
    """Rows whose longest has length one, as float32 has them, and bounds."""
    rng = np.random.default_rng(num_tasks)
    rows = rng.standard_normal((count, num_tasks, size))
    rows *= 10 ** rng.uniform(-2 * spread, 0, (count, num_tasks, 1))
    rows /= np.linalg.norm(rows, axis=2).max(axis=1)[:, None, None]
    bounds = rng.uniform(0, 1, (count, num_tasks))
    return (a.astype("float32").astype("float64") for a in (rows, bounds))


def weights_of(function, rows, bounds, dtype="float32"):
    grams = rows @ np.swapaxes(rows, -1, -2)
    weights = function(
        ops.convert_to_tensor(grams.astype(dtype)),
        ops.convert_to_tensor(bounds.astype(dtype)),
    )
    return ops.convert_to_numpy(weights)


FUNCTIONS = [
    pytest.param(project, lambda j, u: projection(j, u @ j), id="one"),
    pytest.param(project_sum, sum_of_projections, id="sum"),
]


@pytest.mark.parametrize("function, reference", FUNCTIONS)
class TestAgainstLeastSquares:
    @pytest.mark.parametrize("num_tasks", slow_except([2, 8, 40], 2))
    @pytest.mark.parametrize("spread", [0, 2])
    def test_random(self, function, reference, num_tasks, spread):
        rows, bounds = random_problems(num_tasks, num_tasks, spread)
        weights = weights_of(function, rows, bounds).astype("float64")
        assert (weights >= bounds * (1 - 1e-6)).all()
        for weight, row, bound in zip(weights, rows, bounds):
            expected = reference(row, bound)
            gap = np.linalg.norm(weight @ row - expected)
            assert gap < 5e-5 * np.linalg.norm(expected)

    # Of gradients that are opposed to 1e-4 the projection would need weights
    # of 1e4, with which more is rounded away than the conflict amounts to.
    @pytest.mark.parametrize(
        "name",
        slow_except(
            [n for n in ZOO if not n.startswith("nearly_opposed")],
            "normal_3",
            "opposed_3",
            "duplicate_3",
            "all_zero_3",
        ),
    )
    def test_zoo(self, function, reference, name):
        rows = ZOO[name].astype("float64")
        longest = np.linalg.norm(rows, axis=1).max()
        rows = rows / (longest or 1)
        bounds = np.full(len(rows), 1 / len(rows))
        weights = weights_of(function, rows, bounds)
        assert np.isfinite(weights).all()
        gap = np.linalg.norm(weights @ rows - reference(rows, bounds))
        # Nearly dependent gradients know their cone to 1e-7 / 1e-3.
        assert gap < 1e-3

    @pytest.mark.slow
    @pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX is in 32 bits")
    def test_float64(self, function, reference):
        rows, bounds = random_problems(5, 6, 2)
        weights = weights_of(function, rows, bounds, "float64")
        assert weights.dtype == "float64"
        for weight, row, bound in zip(weights, rows, bounds):
            gap = weight @ row - reference(row, bound)
            assert np.linalg.norm(gap) < 1e-11

    @pytest.mark.slow
    def test_zero_bounds(self, function, reference):
        rows, bounds = random_problems(4, 6, 0)
        weights = weights_of(function, rows, 0 * bounds)
        np.testing.assert_array_equal(weights, 0 * bounds)

    @pytest.mark.slow
    def test_not_finite_shows(self, function, reference):
        rows, bounds = random_problems(3, 6, 0)
        rows[0, 1] = np.nan
        weights = weights_of(function, rows, bounds)
        assert np.isnan(weights[0]).any()
        assert np.isfinite(weights[1:]).all()


def dependent_rows(kind, num_tasks=6, count=60):
    """float64 `[count, T, 2 T]` of float32 numbers, of any rank below T."""
    rng = np.random.default_rng(1)
    rows = np.zeros((count, num_tasks, 2 * num_tasks))
    for index, row in enumerate(rows):
        rank = 1 + index % (num_tasks - 1)
        left = rng.standard_normal((num_tasks, rank))
        row[:] = left @ rng.standard_normal((rank, 2 * num_tasks))
        if kind == "surrounding":
            row[-1] = -rng.uniform(0.5, 2, num_tasks - 1) @ row[:-1]
        elif kind == "nearly opposed":
            row[-1] = -row[0] + 10 ** rng.uniform(-7, -2) * row[1]
        elif kind == "nearly dependent":
            noise = rng.standard_normal(row.shape)
            row += 10 ** rng.uniform(-7, -2) * noise
    rows /= np.linalg.norm(rows, axis=2).max(axis=1)[:, None, None]
    return rows.astype("float32").astype("float64")


@pytest.mark.parametrize("function, reference", FUNCTIONS)
class TestDependentGradients:
    """More tasks than dimensions: what is right is known, weights are not."""

    def updates(self, function, rows):
        bounds = np.full(rows.shape[:2], 1 / rows.shape[1])
        weights = weights_of(function, rows, bounds).astype("float64")
        assert np.isfinite(weights).all()
        return np.einsum("kt,ktn->kn", weights, rows), bounds

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["exactly", "surrounding"])
    def test_is_the_projection(self, function, reference, kind):
        rows = dependent_rows(kind)
        updates, bounds = self.updates(function, rows)
        for update, row, bound in zip(updates, rows, bounds):
            expected = reference(row, bound)
            np.testing.assert_allclose(update, expected, atol=2e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "kind, allowed",
        [
            ("exactly", 1e-5),
            ("surrounding", 1e-5),
            # Below the root of epsilon an angle is not known.
            ("nearly opposed", 1e-3),
            ("nearly dependent", 1e-3),
        ],
    )
    def test_no_conflict_and_no_length(
        self, function, reference, kind, allowed
    ):
        rows = dependent_rows(kind)
        updates, _ = self.updates(function, rows)
        lengths = np.linalg.norm(rows, axis=2)
        along = np.einsum("ktn,kn->kt", rows, updates) / lengths
        assert along.min() > -allowed
        # A sum of T projections of gradients over T, none longer than one.
        assert np.linalg.norm(updates, axis=1).max() < 1 + 1e-5

    @pytest.mark.slow
    def test_one_in_a_batch_changes_no_other(self, function, reference):
        rows, bounds = random_problems(6, 12, 0, 3)
        alone = weights_of(function, rows, bounds)
        rows = np.concatenate([rows, dependent_rows("surrounding", count=2)])
        bounds = np.concatenate([bounds, bounds[:2]])
        together = weights_of(function, rows, bounds)
        np.testing.assert_allclose(together[:3], alone, rtol=1e-6)


class TestOptimality:
    @pytest.mark.parametrize("num_tasks", [3, 8])
    def test_conditions(self, num_tasks):
        # v >= u, K v >= 0 and (v - u)' K v = 0.
        rows, bounds = random_problems(num_tasks, num_tasks + 2, 0, 100)
        weights = weights_of(project, rows, bounds).astype("float64")
        along = np.einsum("nti,nsi,ns->nt", rows, rows, weights)
        assert along.min() > -1e-5
        assert np.abs(along * (weights - bounds)).max() < 1e-4

    @pytest.mark.slow
    def test_no_conflict_is_the_bound(self):
        rows = np.abs(np.random.default_rng(0).standard_normal((4, 9)))
        bounds = np.array([0.5, 1.0, 0.0, 2.0])
        for function in (project, project_sum):
            weights = weights_of(function, rows, bounds)
            np.testing.assert_array_equal(weights, bounds)

    @pytest.mark.slow
    def test_zero_gradient_keeps_its_bound(self):
        rows = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]])
        bounds = np.ones(3)
        for function in (project, project_sum):
            weights = weights_of(function, rows, bounds)
            assert weights[1] == 1
            pair = weights_of(function, rows[[0, 2]], bounds[:2])
            np.testing.assert_allclose(weights[[0, 2]], pair, rtol=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize("function", [project, project_sum])
    def test_leading_axes(self, function):
        rows, bounds = random_problems(8, 8, 2)
        flat = weights_of(function, rows, bounds)
        rows, bounds = rows.reshape(4, 5, 8, 8), bounds.reshape(4, 5, 8)
        shaped = weights_of(function, rows, bounds)
        np.testing.assert_allclose(shaped.reshape(20, 8), flat, rtol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
