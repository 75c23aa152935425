"""Tests of Mean."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import Mean


class TestMean:
    def test_weights(self):
        weights = ops.convert_to_numpy(Mean().weights(np.eye(3)))
        np.testing.assert_allclose(weights, [1 / 3, 1 / 3, 1 / 3], rtol=1e-6)

    def test_update(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(Mean()(jacobian))
        np.testing.assert_allclose(update, [1, 1, 1], rtol=1e-6)

    def test_properties(self):
        testing.check_aggregator(
            Mean(),
            [*testing.UNIVERSAL, testing.assert_permutation_equivariant],
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
