"""Tests of ConFIG."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.con_fig import ConFIG
from tests.aggregators.common import random_rows

# Checks compile an aggregator once, so they share it.
SHARED = ConFIG()
ZOO = testing.jacobians()


def reference_update(rows, preference):
    """ConFIG as its paper writes it, on the gradients, in float64."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows / np.where(norms == 0, 1, norms)
    best = np.linalg.pinv(units, rcond=1e-4) @ preference
    best /= np.linalg.norm(best)
    return (rows @ best).sum() * best


def weights_of(rows, preference=None):
    run = testing.compiled(ConFIG(preference).weights, jit_compile=False)
    grams = rows @ np.swapaxes(rows, -1, -2)
    return ops.convert_to_numpy(run(grams.astype("float32")))


class TestIndependent:
    def test_golden(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(ConFIG()(jacobian))
        np.testing.assert_allclose(update, [0.1588, 2.0706, 2.0706], atol=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("num_tasks", [2, 3, 8, 40])
    def test_paper(self, num_tasks):
        rows = random_rows(num_tasks)
        preference = np.arange(1.0, num_tasks + 1)
        for weight, row in zip(weights_of(rows, preference), rows, strict=True):
            expected = reference_update(row, preference)
            gap = np.linalg.norm(weight.astype("float64") @ row - expected)
            assert gap < 1e-4 * np.linalg.norm(expected)

    def test_orthogonal(self):
        # The bisector, as long as the sum of the projections onto it.
        weights = weights_of(np.array([[3.0, 0.0], [0.0, 1.0]]))
        np.testing.assert_allclose(weights, [2 / 3, 2], rtol=1e-5)

    @pytest.mark.parametrize("name", ["normal_8", "conflicting_8", "uneven_8"])
    def test_no_loss_rises(self, name):
        testing.assert_non_conflicting(SHARED, ZOO[name])


class TestDependent:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "name", ["duplicate_8", "opposed_8", "one_zero_8", "dominated_8"]
    )
    def test_nearest_cosines(self, name):
        rows = ZOO[name].astype("float64")
        expected = reference_update(rows, np.ones(8))
        update = weights_of(rows) @ rows
        gap = np.linalg.norm(update - expected)
        assert gap < 1e-3 * np.linalg.norm(expected)

    def test_zero_gradient_gets_nothing(self):
        assert weights_of(ZOO["one_zero_8"].astype("float64"))[0] == 0

    @pytest.mark.parametrize("length", [1.0, 0.3, 1e-4])
    def test_opposed_are_zero(self, length):
        rows = np.array([[3.0, 1.0], [-3 * length, -length]])
        np.testing.assert_array_equal(weights_of(rows), [0, 0])


class TestProperties:
    def test_all_zero(self):
        weights = ops.convert_to_numpy(SHARED.weights(np.zeros((2, 4, 4))))
        np.testing.assert_array_equal(weights, np.zeros((2, 4)))

    def test_gradients_that_are_not_finite_stay_so(self):
        rows = np.array([[1.0, 2.0], [np.nan, 1.0]], "float32")
        update = ops.convert_to_numpy(SHARED(rows))
        assert not np.isfinite(update).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
