"""Tests of Sum."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import Sum


class TestSum:
    def test_weights(self):
        weights = ops.convert_to_numpy(Sum().weights(np.eye(3)))
        np.testing.assert_allclose(weights, [1, 1, 1], rtol=1e-6)

    def test_update(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(Sum().combine(jacobian))
        np.testing.assert_allclose(update, [2, 2, 2], rtol=1e-6)

    @pytest.mark.parametrize("scale", [1e-3, 0.9, 1.1, 1e6])
    def test_max_norm_clips_the_update(self, scale):
        rows = np.array([[0.6, 0.0, 0.0], [0.0, 0.0, 0.8]], "float32") * scale
        update = ops.convert_to_numpy(Sum(max_norm=1.0).combine(rows))
        total = rows.astype("float64").sum(axis=0)
        expected = total / max(np.linalg.norm(total), 1.0)
        np.testing.assert_allclose(update, expected, rtol=1e-5)

    def test_max_norm_of_each_group(self):
        grams = np.array([np.eye(2) * 8, np.eye(2) * 0.02], "float32")
        weights = Sum(max_norm=1.0).weights(grams)
        expected = [[0.25, 0.25], [1.0, 1.0]]
        np.testing.assert_allclose(weights, expected, rtol=1e-6)

    def test_max_norm_keeps_what_is_not_finite(self):
        weights = ops.convert_to_numpy(
            Sum(max_norm=1.0).weights(np.full((2, 2), np.nan, "float32"))
        )
        assert np.isnan(weights).all()
        with pytest.raises(ValueError, match="`max_norm` must be a number"):
            Sum(max_norm=0)

    def test_config(self):
        config = Sum(max_norm=2).get_config()
        assert Sum.from_config(config).get_config() == config
        assert Sum().get_config()["max_norm"] is None

    def test_properties(self):
        testing.check_aggregator(
            Sum(),
            [*testing.UNIVERSAL, testing.assert_permutation_equivariant],
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
