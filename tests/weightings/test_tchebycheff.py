"""The worst loss. That weights are derivatives: test_scalarization.py."""

import numpy as np
import pytest

from keras_mtl.weightings.tchebycheff import Tchebycheff
from tests.weightings.common import weights_of


def test_ties_share():
    weights = weights_of(Tchebycheff(), [2.0, 1.0, 2.0])
    np.testing.assert_allclose(weights, [1 / 6, 0, 1 / 6])


def test_the_worst_task_gets_its_preference():
    weights = weights_of(Tchebycheff([3.0, 1.0]), [1.0, 2.0])
    np.testing.assert_allclose(weights, [0.75, 0])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
