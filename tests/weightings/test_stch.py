"""A smooth maximum. That weights are derivatives: test_scalarization.py."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.weightings.stch import STCH
from keras_mtl.weightings.tchebycheff import Tchebycheff
from tests.weightings.common import weights_of

LOSSES = np.array([0.5, 2.0, 1.2])
P = np.array([0.5, 0.2, 0.3])


def test_small_mu_is_the_maximum():
    """Whose weight is on the worst task alone."""
    np.testing.assert_allclose(
        weights_of(STCH(1e-3, preference=list(P)), LOSSES),
        weights_of(Tchebycheff(preference=list(P)), LOSSES),
        atol=1e-6,
    )


def test_large_mu_is_fixed_weights():
    weights = weights_of(STCH(1e6, list(P)), LOSSES)
    np.testing.assert_allclose(weights, P / 3, rtol=1e-5)


def test_equal_preferences_sum_to_one_over_t():
    assert np.isclose(weights_of(STCH(0.3), LOSSES).sum(), 1 / 3)


def authors_loss(losses, nadir, mu):
    """T mu log sum exp(log(l / n) / mu), as the authors' code has it."""
    logarithms = np.log(losses / nadir + 1e-20)
    highest = logarithms.max()
    total = np.log(np.sum(np.exp((logarithms - highest) / mu)))
    # Theirs leaves the constant out, of which there is no gradient.
    return len(losses) * (mu * total + highest)


@pytest.mark.parametrize("mu", [0.05, 0.5, 2.0])
def test_nadir_is_the_loss_of_the_authors_code(mu):
    nadir = np.array([1.0, 0.5, 4.0])
    expected = [
        (
            authors_loss(LOSSES + step, nadir, mu)
            - authors_loss(LOSSES - step, nadir, mu)
        )
        / 2e-6
        for step in 1e-6 * np.eye(3)
    ]
    weights = weights_of(STCH(mu, nadir=list(nadir)), LOSSES)
    # A difference of two losses has no more digits.
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-8)


def test_nadir_of_tasks_that_are_there():
    weighting = STCH(0.5, nadir=2.0)
    present = np.array([True, False, True])
    losses = ops.convert_to_tensor(LOSSES.astype("float32"))
    weights = ops.convert_to_numpy(weighting.weights(losses, present))
    pair = weights_of(STCH(0.5, nadir=2.0), LOSSES[present])
    np.testing.assert_allclose(weights[present], pair, rtol=1e-6)
    assert weights[1] == 0


def test_nadir_in_the_configuration():
    config = STCH(nadir={"a": 1, "b": 2}).get_config()
    assert config["nadir"] == {"a": 1.0, "b": 2.0}
    assert STCH.from_config(config).get_config() == config


@pytest.mark.parametrize("nadir", [0.0, [1.0, -1.0], {"a": 1.0, "b": 0.0}])
def test_bad_nadir(nadir):
    with pytest.raises(ValueError, match="`nadir` must hold a number above 0"):
        STCH(nadir=nadir)
    with pytest.raises(ValueError, match="`nadir` must name each"):
        STCH(nadir={"a": 1.0}).build(("a", "b"))
    with pytest.raises(ValueError, match="exclude each other"):
        STCH(nadir=1.0, reference=[0.0, 0.0])


@pytest.mark.parametrize("mu", [0, -1.0, None, np.inf, True])
def test_bad_mu(mu):
    with pytest.raises(ValueError, match="`mu` must be a number above 0"):
        STCH(mu)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
