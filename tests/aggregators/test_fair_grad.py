"""Tests of FairGrad. Its solver has tests of its own."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import minimize

from keras_mtl import testing
from keras_mtl.aggregators.fair_grad import FairGrad
from keras_mtl.aggregators.nash_mtl import NashMTL
from tests.aggregators.methods import NO_BARGAIN

# Checks compile an aggregator once, so they share it.
SHARED = FairGrad(alpha=2.0)
ZOO = testing.jacobians()
J = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
SOLVABLE = {n: r for n, r in ZOO.items() if not n.startswith(NO_BARGAIN)}


def weights_of(rows, **kwargs):
    rows = np.asarray(rows, "float32")
    return ops.convert_to_numpy(FairGrad(**kwargs).weights(rows @ rows.T))


class TestFairness:
    def test_golden(self):
        weights = weights_of(J)
        np.testing.assert_allclose(weights, [0.5915, 0.4071], atol=1e-4)
        expected = [0.0766, 0.9985, 0.9985]
        np.testing.assert_allclose(weights @ J, expected, atol=1e-4)

    def test_one_is_the_nash_bargain(self):
        rows = np.random.default_rng(0).standard_normal((5, 8))
        expected = NashMTL(max_norm=None).weights(rows @ rows.T)
        np.testing.assert_allclose(
            weights_of(rows), ops.convert_to_numpy(expected), rtol=1e-5
        )

    def test_zero_is_the_sum(self):
        np.testing.assert_array_equal(weights_of(J, alpha=0), [1, 1])

    def test_near_zero_is_near_the_sum(self):
        rows = np.abs(np.random.default_rng(0).standard_normal((3, 6)))
        weights = weights_of(rows, alpha=1e-3)
        np.testing.assert_allclose(weights, 1, rtol=1e-2)

    def test_large_goes_where_mgda_goes(self):
        weights = weights_of([[1.0, 0.0], [0.0, 2.0]], alpha=50.0)
        np.testing.assert_allclose(
            weights / weights.sum(), [0.8, 0.2], atol=0.01
        )

    @pytest.mark.parametrize("alpha", [0.5, 2.0])
    def test_maximises_the_sum_of_utilities(self, alpha):
        # What it is by definition, over directions and not over weights.
        rows = np.random.default_rng(1).standard_normal((4, 6)) + 0.5
        found = minimize(
            lambda d: (
                -(np.maximum(rows @ d, 1e-3) ** (1 - alpha)).sum() / (1 - alpha)
            ),
            np.linalg.pinv(rows) @ np.ones(4) / 10,
            constraints={"type": "ineq", "fun": lambda d: 1 - d @ d},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        update = weights_of(rows, alpha=alpha) @ rows
        update = update / np.linalg.norm(update)
        np.testing.assert_allclose(update, found.x, atol=1e-4)

    @pytest.mark.parametrize("scale", [1e-15, 1e-6, 1e6, 1e15])
    def test_scale(self, scale):
        for name in ("normal_3", "uneven_3", "nearly_equal_3"):
            actual = weights_of(scale * ZOO[name], alpha=2.0)
            expected = weights_of(ZOO[name], alpha=2.0) * scale ** (-4 / 3)
            np.testing.assert_allclose(actual, expected, rtol=1e-3)


class TestDegenerate:
    def test_zero_gradient_takes_no_part(self):
        rows = np.array([[-4.0, 1.0, 1.0], [0.0, 0.0, 0.0], [6.0, 1.0, 1.0]])
        weights = weights_of(rows, alpha=2.0)
        assert weights[1] == 0
        expected = weights_of(J, alpha=2.0)
        np.testing.assert_allclose(weights[[0, 2]], expected, rtol=1e-4)

    @pytest.mark.slow
    def test_opposed_gradients_stop(self):
        rows = np.array([[3.0, 1.0], [-3.0, -1.0]])
        update = weights_of(rows, alpha=2.0) @ rows
        assert np.abs(update).max() < 2e-2

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite_shows(self, value):
        rows = np.array([[1.0, 2.0], [value, 1.0]], "float32")
        with np.errstate(invalid="ignore"):
            weights = weights_of(rows, alpha=2.0)
        assert not np.isfinite(weights).all()


class TestArguments:
    def test_config(self):
        config = FairGrad(2, granularity="layer", name="mine").get_config()
        expected = {"alpha": 2.0, "granularity": "layer", "name": "mine"}
        assert config == expected
        assert FairGrad.from_config(config).get_config() == config

    @pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf")])
    def test_bad_alpha(self, alpha):
        with pytest.raises(ValueError, match="`alpha` must be a number"):
            FairGrad(alpha=alpha)


class TestProperties:
    @pytest.mark.slow
    def test_zoo(self):
        testing.check_aggregator(SHARED, [testing.assert_structure])

    @pytest.mark.slow
    def test_no_conflict_in_any_order(self):
        # Updates of tiny gradients are huge, and so are those of gradients
        # that nearly cancel; the checks are relative to the gradients.
        matrices = {
            name: rows
            for name, rows in SOLVABLE.items()
            if not name.startswith(("tiny", "conflicting"))
        }
        checks = [
            testing.assert_batched,
            testing.assert_non_conflicting,
            testing.assert_permutation_equivariant,
        ]
        testing.check_aggregator(SHARED, checks, matrices)

    def test_has_no_state(self):
        assert FairGrad().variables == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
