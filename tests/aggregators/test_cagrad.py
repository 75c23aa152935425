"""Tests of CAGrad. Its solver has tests of its own."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.cagrad import CAGrad
from tests.tiers import slow_except

# Checks compile an aggregator once, so they share it.
SHARED = CAGrad(c=1.0)
ZOO = testing.jacobians()
QUICK = ("normal_3", "opposed_3", "duplicate_3", "all_zero_3")
J = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")


def weights_of(rows, **kwargs):
    rows = np.asarray(rows, "float32")
    return ops.convert_to_numpy(CAGrad(**kwargs).weights(rows @ rows.T))


class TestTwoTasks:
    def test_golden(self):
        weights = weights_of(J, c=0.5)
        np.testing.assert_allclose(weights, [0.7041, 0.5], atol=1e-4)
        expected = [0.1835, 1.2041, 1.2041]
        np.testing.assert_allclose(weights @ J, expected, atol=1e-4)

    def test_as_long_as_the_mean(self):
        # Exactly [0, 2, 2]: twice the mean's part that both share.
        update = ops.convert_to_numpy(CAGrad(c=1.0)(J))
        np.testing.assert_allclose(update, [0, 2, 2], atol=1e-5)

    def test_no_radius_is_the_mean(self):
        np.testing.assert_allclose(weights_of(J, c=0), [0.5, 0.5])

    def test_orthogonal(self):
        # By symmetry along the mean; not divided by 1 + c.
        weights = weights_of(np.eye(2), c=0.4)
        np.testing.assert_allclose(weights, [0.7, 0.7], rtol=1e-5)

    def test_large_radius_goes_where_mgda_goes(self):
        weights = weights_of([[1.0, 0.0], [0.0, 2.0]], c=1e4)
        weights = weights / weights.sum()
        np.testing.assert_allclose(weights, [0.8, 0.2], rtol=1e-3)


class TestGuarantees:
    @pytest.mark.parametrize("name", slow_except(ZOO, *QUICK))
    def test_no_loss_rises(self, name):
        testing.assert_non_conflicting(SHARED, ZOO[name])

    def test_worst_task_gains_more_than_by_the_mean(self):
        rows = np.random.default_rng(0).standard_normal((200, 4, 6))
        grams = rows @ rows.transpose(0, 2, 1)
        weights = ops.convert_to_numpy(CAGrad().weights(grams))
        gains = np.einsum("nij,nj->ni", grams, weights).min(axis=1)
        by_mean = grams.mean(axis=2).min(axis=1)
        assert (gains > by_mean).all()


class TestArguments:
    def test_config(self):
        config = CAGrad(c=0.7, granularity="layer", name="mine").get_config()
        assert config == {"c": 0.7, "granularity": "layer", "name": "mine"}
        assert CAGrad.from_config(config).get_config() == config

    def test_default(self):
        assert CAGrad().c == 0.4

    @pytest.mark.parametrize("c", [-0.1, float("nan"), float("inf")])
    def test_bad_radius(self, c):
        with pytest.raises(ValueError, match="`c` must be a number"):
            CAGrad(c=c)


class TestProperties:
    @pytest.mark.slow
    def test_universal_with_the_default_radius(self):
        testing.check_aggregator(CAGrad(), matrices=testing.jacobians((3,)))

    @pytest.mark.parametrize("name", slow_except(ZOO, *QUICK))
    def test_order_of_tasks(self, name):
        testing.assert_permutation_equivariant(SHARED, ZOO[name])

    def test_has_no_state(self):
        assert CAGrad().variables == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
