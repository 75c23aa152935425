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

    def test_properties(self):
        testing.check_aggregator(
            Sum(),
            [*testing.UNIVERSAL, testing.assert_permutation_equivariant],
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
