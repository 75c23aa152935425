"""Tests of DualProj. Its solver has tests of its own."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.dual_proj import DualProj

# Checks compile an aggregator once, so they share it.
SHARED = DualProj()
ZOO = testing.jacobians()
GRAM = np.array([[18.0, -22.0], [-22.0, 38.0]], "float32")


class TestTwoTasks:
    def test_golden(self):
        # TorchJD gives .6109, .5: it adds 1e-4 of the trace.
        weights = ops.convert_to_numpy(DualProj().weights(GRAM))
        np.testing.assert_allclose(weights, [11 / 18, 0.5], rtol=1e-6)
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(DualProj()(jacobian))
        np.testing.assert_allclose(update, [5 / 9, 10 / 9, 10 / 9], rtol=1e-5)

    def test_mean_without_conflict(self):
        # The gradients conflict; their mean does so with neither.
        gram = np.array([[4.0, -1.0], [-1.0, 4.0]])
        weights = ops.convert_to_numpy(DualProj().weights(gram))
        np.testing.assert_array_equal(weights, [0.5, 0.5])

    def test_gem(self):
        # GEM: the new gradient loses its component along the old one.
        rows = np.array([[1.0, 0.0], [-1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(DualProj([0, 1])(rows))
        np.testing.assert_allclose(update, [0, 1], atol=1e-6)

    def test_opposed(self):
        rows = np.array([[3.0, 1.0], [-6.0, -2.0]], "float32")
        update = ops.convert_to_numpy(DualProj()(rows))
        np.testing.assert_allclose(update, [0, 0], atol=1e-6)


class TestProperties:
    def test_zero_gradient_changes_nothing_for_the_others(self):
        rows = ZOO["normal_3"].copy()
        rows[1] = 0
        update = ops.convert_to_numpy(DualProj([1, 5, 2])(rows))
        pair = ops.convert_to_numpy(DualProj([1, 2])(rows[[0, 2]]))
        np.testing.assert_allclose(update, pair, rtol=1e-4, atol=1e-5)

    def test_all_zero(self):
        weights = ops.convert_to_numpy(SHARED.weights(np.zeros((2, 4, 4))))
        np.testing.assert_array_equal(weights, np.full((2, 4), 0.25))

    def test_gradients_that_are_not_finite_stay_so(self):
        rows = np.array([[1.0, 2.0], [np.nan, 1.0]], "float32")
        update = ops.convert_to_numpy(SHARED(rows))
        assert not np.isfinite(update).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
