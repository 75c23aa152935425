"""Tests of DB-MTL."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.db_mtl import DBMTL
from keras_mtl.methods import StepInfo
from tests.aggregators.common import make_steps
from tests.aggregators.common import update_of
from tests.tiers import slow_except

ZOO = testing.jacobians()


def reference(steps, losses, beta, beta_sigma):
    """Updates as the paper has them, in float64."""
    averages = np.zeros(steps[0].shape)
    updates = []
    for k, (rows, loss) in enumerate(zip(steps, losses), start=1):
        share = beta / k**beta_sigma
        logarithmic = rows / (loss + 1e-8)[:, None]
        averages = share * averages + (1 - share) * logarithmic
        norms = np.linalg.norm(averages, axis=1)
        unit = averages / norms[:, None]
        updates.append(norms.max() * unit.sum(axis=0))
    return np.array(updates)


class TestAgainstTheAlgorithm:
    @pytest.mark.parametrize(
        "beta, beta_sigma", [(0.9, 0.0), (0.5, 0.5), (0.9, 2.0), (0.0, 0.0)]
    )
    @pytest.mark.parametrize("num_tasks", slow_except([2, 5], 2))
    def test_updates(self, beta, beta_sigma, num_tasks):
        method = DBMTL(beta, beta_sigma)
        steps = make_steps(12, num_tasks)
        losses = np.random.default_rng(1).uniform(0.01, 20, (12, num_tasks))
        actual = [update_of(method, *step) for step in zip(steps, losses)]
        expected = reference(steps, losses, beta, beta_sigma)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)

    def test_golden(self):
        weights = DBMTL(0.0).weights(np.diag([9.0, 16.0]), [1.0, 2.0])
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), [1, 0.75], rtol=1e-6
        )

    def test_norms_far_apart(self):
        rows = make_steps(1, 4)[0] * np.logspace(-4, 4, 4)[:, None]
        actual = update_of(DBMTL(0.0), rows, np.ones(4))
        expected = reference([rows], [np.ones(4)], 0, 0)[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-2)


class TestEdges:
    def test_zero_gradient_changes_nothing(self):
        rows = make_steps(1)[0]
        expected = update_of(DBMTL(0.0), rows[:2], np.ones(2))
        rows[2] = 0
        np.testing.assert_allclose(
            update_of(DBMTL(0.0), rows, np.ones(3)), expected, rtol=1e-5
        )

    def test_negative_and_zero_losses(self):
        rows = make_steps(1)[0]
        negative = update_of(DBMTL(0.0), rows, np.array([-2.0, 1.0, 3.0]))
        positive = update_of(DBMTL(0.0), rows, np.array([2.0, 1.0, 3.0]))
        np.testing.assert_array_equal(negative, positive)
        for beta in (0.0, 0.9):
            assert np.isfinite(update_of(DBMTL(beta), rows, np.zeros(3))).all()

    def test_present(self):
        gram = np.diag([4.0, 9.0, 16.0])
        step = StepInfo(np.ones(3), np.array([True, True, False]))
        weights = DBMTL(0.0).update(gram, step)
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), [1.5, 1, 0], rtol=1e-6
        )

    def test_no_memory_without_beta(self):
        assert not DBMTL(0.0).transforms
        assert DBMTL().transforms
        method = DBMTL(0.0)
        update_of(method, np.eye(2), np.ones(2))
        assert method.variables == []

    @pytest.mark.parametrize("beta", [0.0, 0.9])
    def test_losses_are_needed(self, beta):
        with pytest.raises(ValueError, match="losses=None"):
            update_of(DBMTL(beta), np.eye(2))

    @pytest.mark.parametrize(
        "arguments", [{"beta": 1.0}, {"beta": -0.1}, {"beta_sigma": -1}]
    )
    def test_refused(self, arguments):
        (name,) = arguments
        with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
            DBMTL(**arguments)


class TestProperties:
    @pytest.mark.parametrize("name", ["normal_8", "uneven_3", "opposed_3"])
    def test_order_of_tasks(self, name):
        testing.assert_permutation_equivariant(DBMTL(), ZOO[name])

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_gradients_that_are_not_finite_stay_so(self, value):
        weights = DBMTL(0.0).weights(np.diag([1.0, value]), np.ones(2))
        assert not np.isfinite(ops.convert_to_numpy(weights)).any()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
