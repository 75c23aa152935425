"""Tests of Orthogonal."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import Orthogonal
from keras_mtl.aggregators import Projection


def auxiliary_part(u, v):
    """What Orthogonal makes of the auxiliary gradient u, beside v."""
    rows = np.array([v, u], "float32")
    aggregator = Orthogonal(0, smoothing=1.0, granularity="model")
    return ops.convert_to_numpy(aggregator(rows)) - rows[0]


class TestOrthogonal:
    @pytest.mark.parametrize(
        "u, expected",
        [
            ([-1.0, 1.0], [0, 1]),
            ([1.0, 1.0], [0, 1]),
            ([0.0, 1.0], [0, 1]),
            ([-1.0, 0.0], [0, 0]),
            ([0.0, 0.0], [0, 0]),
        ],
    )
    def test_pictures(self, u, expected):
        part = auxiliary_part(u, [1.0, 0.0])
        np.testing.assert_allclose(part, expected, atol=1e-6)

    def test_zero_main_gradient(self):
        part = auxiliary_part([1.0, 1.0], [0.0, 0.0])
        np.testing.assert_array_equal(part, [1, 1])

    def test_part_is_orthogonal_to_the_main_gradient(self):
        rng = np.random.default_rng(0)
        for _ in range(15):
            u, v = rng.standard_normal((2, 3)).astype("float32")
            assert abs(auxiliary_part(u, v) @ v) < 1e-5

    def test_equals_projection_in_conflict(self):
        rows = testing.jacobians()["opposed_2"]
        projected = Projection(0, smoothing=1.0)(rows)
        orthogonal = Orthogonal(0)(rows)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(orthogonal), ops.convert_to_numpy(projected)
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
