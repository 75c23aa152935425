"""Tests of Aligned-MTL. Its eigenvalues have tests of their own."""

import numpy as np
import pytest
from keras import ops
from scipy.linalg import polar

from keras_mtl import testing
from keras_mtl.aggregators.aligned_mtl import AlignedMTL
from tests.tiers import slow_except

ZOO = testing.jacobians()
JACOBIAN = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
SCALES = {
    "min": np.min,
    "median": np.median,
    # As `torch.median`.
    "lower_median": lambda x: np.sort(x)[(len(x) - 1) // 2],
    "rmse": np.mean,
}


def random_rows(num_tasks, spread, count=50):
    rng = np.random.default_rng(num_tasks)
    rows = rng.standard_normal((count, num_tasks, 2 * num_tasks))
    rows *= 10 ** rng.uniform(-spread, spread, (count, num_tasks, 1))
    return rows.astype("float32").astype("float64")


def weights_of(rows, **kwargs):
    run = testing.compiled(AlignedMTL(**kwargs).weights, jit_compile=False)
    grams = rows @ np.swapaxes(rows, -1, -2)
    return ops.convert_to_numpy(run(grams.astype("float32")))


class TestTwoTasks:
    def test_golden(self):
        # TorchJD's preference is 1 / T.
        gram = JACOBIAN @ JACOBIAN.T
        for aggregator, factor in ((AlignedMTL(), 2), (AlignedMTL("min"), 2)):
            weights = ops.convert_to_numpy(aggregator.weights(gram))
            expected = factor * np.array([0.5591, 0.4083])
            np.testing.assert_allclose(weights, expected, atol=2e-4)
        halves = AlignedMTL(preference=[0.5, 0.5])
        update = ops.convert_to_numpy(halves(JACOBIAN))
        expected = [0.2133, 0.9673, 0.9673]
        np.testing.assert_allclose(update, expected, atol=1e-4)

    def test_orthogonal_gradients_become_equally_long(self):
        rows = np.array([[3.0, 0.0], [0.0, 0.5]], "float32")
        update = ops.convert_to_numpy(AlignedMTL()(rows))
        np.testing.assert_allclose(update, [0.5, 0.5], rtol=1e-5)


class TestAgainstPolarDecomposition:
    @pytest.mark.parametrize("scale_mode", SCALES)
    @pytest.mark.parametrize("num_tasks", slow_except([2, 3, 8, 40], 3))
    def test_update(self, scale_mode, num_tasks):
        # The nearest orthogonal rows, in float64, with norms alike and then
        # with norms that differ by up to 1e4.
        preference = np.arange(1.0, num_tasks + 1)
        kwargs = {"scale_mode": scale_mode, "preference": preference}
        rows = np.concatenate([random_rows(num_tasks, s) for s in (0, 2)])
        for weight, row in zip(weights_of(rows, **kwargs), rows, strict=True):
            nearest, _ = polar(row)
            squares = np.linalg.svd(row, compute_uv=False) ** 2
            sigma = np.sqrt(SCALES[scale_mode](squares))
            expected = sigma * preference @ nearest
            gap = np.linalg.norm(weight.astype("float64") @ row - expected)
            assert gap < 1e-4 * np.linalg.norm(expected)


class TestDependent:
    def test_duplicates_share(self):
        rows = ZOO["duplicate_3"].astype("float64")
        weights = weights_of(rows)
        assert weights[0] == pytest.approx(weights[2], rel=1e-3)
        left, lengths, right = np.linalg.svd(rows, full_matrices=False)
        expected = lengths[1] * np.ones(3) @ left[:, :2] @ right[:2]
        np.testing.assert_allclose(weights @ rows, expected, atol=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("scale_mode", SCALES)
    def test_zero_gradient_changes_nothing_for_the_others(self, scale_mode):
        rows = ZOO["normal_3"].astype("float64")
        rows[1] = 0
        weights = weights_of(rows, scale_mode=scale_mode)
        pair = weights_of(rows[[0, 2]], scale_mode=scale_mode)
        expected = [pair[0], 0, pair[1]]
        np.testing.assert_allclose(weights, expected, rtol=1e-4)

    def test_opposed_cancel(self):
        rows = np.array([[3.0, 1.0], [-3.0, -1.0]])
        np.testing.assert_allclose(weights_of(rows) @ rows, 0, atol=1e-6)

    def test_all_zero(self):
        weights = weights_of(np.zeros((2, 4, 5)))
        np.testing.assert_array_equal(weights, np.zeros((2, 4)))

    def test_gradients_that_are_not_finite_stay_so(self):
        rows = np.array([[1.0, 2.0], [np.nan, 1.0]], "float32")
        for scale_mode in SCALES:
            update = AlignedMTL(scale_mode)(rows)
            assert not np.isfinite(ops.convert_to_numpy(update)).all()


class TestArguments:
    @pytest.mark.parametrize("scale_mode", ["max", None, "MIN"])
    def test_unknown(self, scale_mode):
        with pytest.raises(ValueError, match="`scale_mode` must be one of"):
            AlignedMTL(scale_mode)

    def test_config(self):
        config = AlignedMTL("rmse").get_config()
        assert AlignedMTL.from_config(config).scale_mode == "rmse"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
