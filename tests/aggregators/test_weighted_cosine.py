"""Tests of WeightedCosine."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.aggregators import WeightedCosine


def auxiliary_part(u, v):
    """What WeightedCosine makes of the auxiliary gradient u, beside v."""
    rows = np.array([v, u], "float32")
    aggregator = WeightedCosine(0, smoothing=1.0, granularity="model")
    return ops.convert_to_numpy(aggregator(rows)) - rows[0]


class TestWeightedCosine:
    @pytest.mark.parametrize(
        "u, expected",
        [
            ([-1.0, 1.0], [0, 0]),
            ([1.0, 1.0], [0.5**0.5, 0.5**0.5]),
            ([0.0, 1.0], [0, 0]),
            ([-1.0, 0.0], [0, 0]),
            ([0.0, 0.0], [0, 0]),
        ],
    )
    def test_pictures(self, u, expected):
        part = auxiliary_part(u, [1.0, 0.0])
        np.testing.assert_allclose(part, expected, atol=1e-6)

    def test_zero_main_gradient(self):
        part = auxiliary_part([1.0, 1.0], [0.0, 0.0])
        np.testing.assert_array_equal(part, [0, 0])

    def test_weight_is_the_cosine(self):
        rng = np.random.default_rng(0)
        for _ in range(15):
            u, v = rng.standard_normal((2, 3)).astype("float32")
            cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
            expected = max(cosine, 0) * u
            np.testing.assert_allclose(
                auxiliary_part(u, v), expected, atol=1e-5
            )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
