"""Tests of Projection."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import Projection


def auxiliary_part(u, v):
    """What Projection makes of the auxiliary gradient u, beside v."""
    rows = np.array([v, u], "float32")
    aggregator = Projection(0, smoothing=1.0, granularity="model")
    return ops.convert_to_numpy(aggregator(rows)) - rows[0]


class TestProjection:
    @pytest.mark.parametrize(
        "u, expected",
        [
            ([-1.0, 1.0], [0, 1]),
            ([1.0, 1.0], [1, 1]),
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

    def test_defaults_are_the_recommendation(self):
        aggregator = Projection("left")
        assert aggregator.smoothing == 0.01
        assert aggregator.granularity == "variable"

    def test_granularity(self):
        u, v = [1.0, -3.0], [1.0, 1.0]
        np.testing.assert_allclose(auxiliary_part(u, v), [2, -2], rtol=1e-6)
        # As two variables of one entry each.
        grams = np.array([[[1.0, 1.0], [1.0, 1.0]], [[1.0, -3.0], [-3.0, 9.0]]])
        weights = ops.convert_to_numpy(
            Projection(0, smoothing=1.0).weights(grams)
        )
        update = [weights[0] @ [1, 1], weights[1] @ [1, -3]]
        np.testing.assert_allclose(np.subtract(update, v), [1, 0], atol=1e-6)

    def test_two_auxiliaries_for_and_against(self):
        v = np.array([1.0, 2.0])
        rows = np.stack([v, v, -v]).astype("float32")
        aggregator = Projection(0, smoothing=1.0)
        update = ops.convert_to_numpy(aggregator(rows))
        np.testing.assert_allclose(update, 2 * v, rtol=1e-6)

    def test_main_loss_falls_at_least_as_fast(self):
        rng = np.random.default_rng(0)
        for _ in range(15):
            u, v = rng.standard_normal((2, 3)).astype("float32")
            part = auxiliary_part(u, v)
            assert part @ v >= -1e-5
            assert (v + part) @ v >= v @ v - 1e-5
            if u @ v < 0:
                square = u @ u - (u @ v) ** 2 / (v @ v)
                np.testing.assert_allclose(part @ part, square, atol=1e-4)
            else:
                np.testing.assert_allclose(part, u, atol=1e-6)

    def test_agreement_is_the_plain_sum(self):
        # To the bit: training is that of the sum until tasks conflict.
        for name in ("agreeing_2", "agreeing_8"):
            rows = testing.jacobians()[name]
            weights = Projection(0, smoothing=1.0).weights(rows @ rows.T)
            assert (ops.convert_to_numpy(weights) == 1).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
