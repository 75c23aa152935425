"""Along a direction. That weights are derivatives: test_scalarization.py."""

import numpy as np
import pytest

from keras_mtl.weightings.pbi import PBI
from tests.weightings.common import weights_of

LOSSES = np.array([0.5, 2.0, 1.2])
P = np.array([0.5, 0.2, 0.3])


@pytest.mark.parametrize("scale", [1e-15, 0.37, 1e15])
def test_on_the_direction_there_is_no_penalty(scale):
    weights = weights_of(PBI(preference=list(P)), scale * P)
    np.testing.assert_allclose(weights, P / np.linalg.norm(P), rtol=1e-6)


def test_no_penalty_is_the_projection():
    weights = weights_of(PBI(theta=0, preference=list(P)), LOSSES)
    np.testing.assert_allclose(weights, P / np.linalg.norm(P), rtol=1e-6)


@pytest.mark.parametrize("theta", [-1, "5", np.nan])
def test_bad_theta(theta):
    with pytest.raises(ValueError, match="`theta` must be a number from 0"):
        PBI(theta)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
