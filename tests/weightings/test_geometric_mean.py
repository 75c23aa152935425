"""The geometric mean. That weights are derivatives: test_scalarization.py."""

import numpy as np
import pytest

from keras_mtl.weightings.geometric_mean import GeometricMean
from tests.weightings.common import weights_of


def test_closed_form():
    np.testing.assert_allclose(
        weights_of(GeometricMean(), [1.0, 4.0]), [1.0, 0.25], rtol=1e-6
    )


def test_many_small_losses_do_not_underflow():
    """Their product is 1e-400, their mean 1e-10."""
    np.testing.assert_allclose(
        weights_of(GeometricMean(), np.full(40, 1e-10)),
        np.full(40, 1 / 40),
        rtol=1e-4,
    )


@pytest.mark.parametrize("absent", [0.0, -1.0])
def test_tasks_without_a_loss_leave_it_to_the_others(absent):
    np.testing.assert_allclose(
        weights_of(GeometricMean(), [1.0, absent, 4.0]),
        [1.0, 0.0, 0.25],
        rtol=1e-6,
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
