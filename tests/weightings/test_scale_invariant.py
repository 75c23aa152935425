"""Sum of logarithms. That weights are derivatives: test_scalarization.py."""

import numpy as np
import pytest

from keras_mtl.weightings.scale_invariant import ScaleInvariant
from tests.weightings.common import weights_of


def test_weighted_losses_are_ones():
    losses = np.array([1e-10, 0.5, 1e10])
    np.testing.assert_allclose(
        weights_of(ScaleInvariant(), losses) * losses, 1, rtol=1e-6
    )


def test_tasks_without_a_loss_take_no_part():
    np.testing.assert_array_equal(
        weights_of(ScaleInvariant(), [0.0, 2.0, -1.0]), [0, 0.5, 0]
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
