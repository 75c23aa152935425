"""Drawn to a direction. That weights are derivatives: test_scalarization.py."""

import numpy as np
import pytest

from keras_mtl.weightings.cosmos import COSMOS
from tests.weightings.common import weights_of

LOSSES = np.array([0.5, 2.0, 1.2])
P = np.array([0.5, 0.2, 0.3])


def test_no_penalty_is_the_weighted_sum():
    weights = weights_of(COSMOS(0, list(P)), LOSSES)
    np.testing.assert_allclose(weights, P, rtol=1e-6)


def test_on_the_direction_there_is_nothing_to_gain():
    weights = weights_of(COSMOS(2, list(P)), 3 * P)
    np.testing.assert_allclose(weights, P, atol=1e-6)


@pytest.mark.parametrize("penalty", [-1, None])
def test_bad_penalty(penalty):
    with pytest.raises(ValueError, match="`penalty` must be a number from"):
        COSMOS(penalty)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
