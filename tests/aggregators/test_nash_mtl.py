"""Tests of Nash-MTL. Its solver has tests of its own."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import minimize

from keras_mtl import testing
from keras_mtl.aggregators.nash_mtl import NashMTL
from tests.aggregators.methods import NO_BARGAIN

# Checks compile an aggregator once, so they share it.
SHARED = NashMTL()
ZOO = testing.jacobians()
J = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
SOLVABLE = {n: r for n, r in ZOO.items() if not n.startswith(NO_BARGAIN)}


def update_of(rows, **kwargs):
    rows = np.asarray(rows, "float32")
    return ops.convert_to_numpy(NashMTL(**kwargs)(rows))


class TestBargain:
    def test_golden(self):
        expected = [0.0542, 0.7061, 0.7061]
        np.testing.assert_allclose(update_of(J), expected, atol=1e-4)

    def test_golden_without_limit(self):
        weights = ops.convert_to_numpy(NashMTL(None).weights(J @ J.T))
        np.testing.assert_allclose(weights, [0.5915, 0.4071], atol=1e-4)

    def test_gains_times_weights_are_one(self):
        rows = np.random.default_rng(0).standard_normal((50, 5, 8))
        grams = rows @ rows.transpose(0, 2, 1)
        weights = ops.convert_to_numpy(NashMTL(None).weights(grams))
        gains = np.einsum("nij,nj->ni", grams, weights)
        np.testing.assert_allclose(gains * weights, 1, rtol=1e-3)

    def test_maximises_the_product_of_gains(self):
        # The game itself, over directions and not over weights.
        rows = np.random.default_rng(1).standard_normal((4, 6))
        found = minimize(
            lambda d: -np.log(np.maximum(rows @ d, 1e-9)).sum(),
            np.linalg.pinv(rows) @ np.ones(4) / 10,
            constraints={"type": "ineq", "fun": lambda d: 1 - d @ d},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        np.testing.assert_allclose(update_of(rows), found.x, atol=1e-4)

    def test_lengths_of_gradients_do_not_matter(self):
        rows = np.random.default_rng(2).standard_normal((4, 6))
        scaled = rows * np.array([[1e-3], [1.0], [10.0], [1e3]])
        np.testing.assert_allclose(
            update_of(scaled), update_of(rows), atol=1e-4
        )


class TestMaxNorm:
    @pytest.mark.parametrize("max_norm", [0.1, 1.0])
    def test_limits(self, max_norm):
        length = np.linalg.norm(update_of(J, max_norm=max_norm))
        np.testing.assert_allclose(length, max_norm, rtol=1e-5)

    @pytest.mark.parametrize("max_norm", [2.0, None])
    def test_length_is_the_root_of_the_number_of_tasks(self, max_norm):
        length = np.linalg.norm(update_of(J, max_norm=max_norm))
        np.testing.assert_allclose(length, 2**0.5, rtol=1e-4)

    def test_each_matrix_has_its_own_length(self):
        grams = np.stack([J @ J.T, 0 * J @ J.T, np.eye(2)])
        weights = ops.convert_to_numpy(NashMTL().weights(grams))
        squares = np.einsum("ni,nij,nj->n", weights, grams, weights)
        np.testing.assert_allclose(squares, [1, 0, 1], atol=1e-5)


class TestDegenerate:
    def test_zero_gradient_has_no_part(self):
        rows = np.array([[-4.0, 1.0, 1.0], [0.0, 0.0, 0.0], [6.0, 1.0, 1.0]])
        weights = ops.convert_to_numpy(NashMTL().weights(rows @ rows.T))
        assert weights[1] == 0
        np.testing.assert_allclose(weights @ rows, update_of(J), atol=1e-5)

    def test_duplicates(self):
        rows = np.stack([J[0], J[1], J[1]])
        weights = ops.convert_to_numpy(NashMTL().weights(rows @ rows.T))
        np.testing.assert_allclose(weights[1], weights[2], rtol=1e-5)

    @pytest.mark.slow
    def test_opposed_gradients_stop(self):
        rows = np.array([[3.0, 1.0], [-3.0, -1.0]])
        assert np.abs(update_of(rows)).max() < 2e-3

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite_shows(self, value):
        rows = np.array([[1.0, 2.0], [value, 1.0]], "float32")
        assert not np.isfinite(update_of(rows)).all()


class TestArguments:
    def test_config(self):
        config = NashMTL(None, granularity="layer", name="mine").get_config()
        expected = {"max_norm": None, "granularity": "layer", "name": "mine"}
        assert config == expected
        assert NashMTL.from_config(config).get_config() == config

    def test_name(self):
        assert NashMTL().name == "nash_mtl"

    @pytest.mark.parametrize("max_norm", [0, -1.0, float("nan")])
    def test_bad_limit(self, max_norm):
        with pytest.raises(ValueError, match="`max_norm` must be a number"):
            NashMTL(max_norm=max_norm)


class TestProperties:
    @pytest.mark.slow
    def test_zoo(self):
        testing.check_aggregator(SHARED, [testing.assert_structure])

    @pytest.mark.slow
    def test_batched_and_in_any_order(self):
        checks = [
            testing.assert_batched,
            testing.assert_non_conflicting,
            testing.assert_permutation_equivariant,
        ]
        testing.check_aggregator(
            SHARED,
            checks,
            {n: r for n, r in SOLVABLE.items() if "tiny" not in n},
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("scale", [1e-15, 1e-6, 1e6, 1e15])
    def test_scale_changes_nothing(self, scale):
        for name in ("normal_3", "uneven_3", "nearly_equal_3"):
            np.testing.assert_allclose(
                update_of(scale * ZOO[name]), update_of(ZOO[name]), atol=1e-4
            )

    def test_has_no_state(self):
        assert NashMTL().variables == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
