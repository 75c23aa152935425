"""Tests of IMTL-G."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.imtlg import IMTLG
from tests.aggregators.common import random_rows

# Checks compile an aggregator once, so they share it.
SHARED = IMTLG()
ZOO = testing.jacobians()


def weights_of(rows):
    run = testing.compiled(SHARED.weights, jit_compile=False)
    grams = rows @ np.swapaxes(rows, -1, -2)
    return ops.convert_to_numpy(run(grams.astype("float32")))


class TestIndependent:
    def test_golden(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        weights = weights_of(jacobian)
        np.testing.assert_allclose(weights, [0.5923, 0.4077], atol=1e-4)
        update = ops.convert_to_numpy(IMTLG()(jacobian))
        np.testing.assert_allclose(update, [0.0767, 1, 1], atol=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("num_tasks", [2, 3, 8, 40])
    def test_paper(self, num_tasks):
        # The paper's closed form, on the gradients in float64: weights of
        # tasks 2.. are g_1 U' (D U')^-1, D = g_1 - g_i, U = u_1 - u_i.
        rows = random_rows(num_tasks)
        for weight, row in zip(weights_of(rows), rows, strict=True):
            units = row / np.linalg.norm(row, axis=1, keepdims=True)
            apart = units[0] - units[1:]
            others = row[0] @ apart.T
            others = others @ np.linalg.inv((row[0] - row[1:]) @ apart.T)
            expected = np.append(1 - others.sum(), others) @ row
            gap = np.linalg.norm(weight.astype("float64") @ row - expected)
            assert gap < 1e-4 * np.linalg.norm(expected)

    def test_sums_to_one_and_projections_are_equal(self):
        rows = random_rows(8)
        weights = weights_of(rows).astype("float64")
        sizes = np.abs(weights).sum(axis=1)
        assert (np.abs(weights.sum(axis=1) - 1) < 1e-5 * sizes).all()
        updates = np.einsum("nt,nti->ni", weights, rows)
        units = rows / np.linalg.norm(rows, axis=2, keepdims=True)
        along = np.einsum("nti,ni->nt", units, updates)
        mean = along.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(along / mean, 1, rtol=1e-4)


class TestDependent:
    @pytest.mark.slow
    def test_duplicate_changes_nothing(self):
        rows = ZOO["normal_3"].astype("float64")
        twice = weights_of(rows[[0, 1, 2, 0]]) @ rows[[0, 1, 2, 0]]
        np.testing.assert_allclose(twice, weights_of(rows) @ rows, rtol=1e-3)

    def test_parallel_gradients_of_other_lengths(self):
        # Unit gradients share equally: the update is the harmonic mean.
        weights = weights_of(np.array([[1.0, 0.0], [4.0, 0.0]]))
        np.testing.assert_allclose(weights, [0.8, 0.2], rtol=1e-5)

    @pytest.mark.slow
    def test_zero_gradient_changes_nothing_for_the_others(self):
        rows = ZOO["normal_3"].astype("float64")
        rows[1] = 0
        pair = weights_of(rows[[0, 2]])
        expected = [pair[0], 0, pair[1]]
        np.testing.assert_allclose(weights_of(rows), expected, rtol=1e-4)

    @pytest.mark.parametrize("length", [1.0, 0.3, 1e-4])
    def test_opposed_are_zero(self, length):
        rows = np.array([[3.0, 1.0], [-3 * length, -length]])
        np.testing.assert_array_equal(weights_of(rows), [0, 0])

    def test_two_opposed_pairs_are_zero(self):
        rows = np.random.default_rng(0).standard_normal((2, 5))
        weights = weights_of(np.concatenate([rows, -rows]))
        np.testing.assert_array_equal(weights, np.zeros(4))


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
