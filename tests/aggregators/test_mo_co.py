"""Tests of MoCo."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.mo_co import MoCo
from keras_mtl.methods import GradientSpec
from tests.aggregators.common import make_steps
from tests.aggregators.common import project
from tests.aggregators.common import update_of
from tests.tiers import slow_except

ZOO = testing.jacobians()


def reference(steps, losses, method):
    """Updates as Algorithm 1 of the paper has them, in float64."""
    num_tasks, size = steps[0].shape
    averages = np.zeros((num_tasks, size))
    weights = np.full(num_tasks, 1 / num_tasks)
    updates = []
    for k, (rows, loss) in enumerate(zip(steps, losses), start=1):
        if method.scale_to_losses:
            norms = np.linalg.norm(rows, axis=1)
            rows = rows * (loss / norms)[:, None]
        averages = averages - method.beta / k**method.beta_sigma * (
            averages - rows
        )
        slopes = averages @ (averages.T @ weights) + method.rho * weights
        weights = weights - method.gamma / k**method.gamma_sigma * slopes
        if method.simplex == "softmax":
            weights = np.exp(weights) / np.exp(weights).sum()
        else:
            weights = project(weights)
        updates.append(weights @ averages)
    return np.array(updates)


class TestAgainstTheAlgorithm:
    @pytest.mark.parametrize(
        "arguments",
        [
            {},
            {"gamma": 0.02, "beta_sigma": 0.0, "gamma_sigma": 0.0},
            {"gamma": 0.5, "rho": 0.3, "beta": 0.8, "scale_to_losses": True},
            {"gamma": 0.5, "simplex": "softmax", "scale_to_losses": True},
            {"beta": 1.0, "beta_sigma": 0.0, "gamma": 0.01},
        ],
    )
    @pytest.mark.parametrize("num_tasks", slow_except([2, 5], 2))
    def test_updates(self, arguments, num_tasks):
        method = MoCo(**arguments)
        steps = make_steps(12, num_tasks)
        losses = np.random.default_rng(1).uniform(0.1, 2, (12, num_tasks))
        actual = [update_of(method, *step) for step in zip(steps, losses)]
        expected = reference(steps, losses, method)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=2e-5)

    def test_settles_at_the_least_norm(self):
        # Of orthogonal gradients the weights are one over the squares.
        rows = np.diag([1.0, 2.0, 0.5])
        method = MoCo(beta=1.0, beta_sigma=0, gamma=0.2, gamma_sigma=0)
        method.build(GradientSpec(3))
        run = testing.compiled(method.update, method.variables, False)
        for _ in range(300):
            weights = run((rows @ rows).astype("float32"))
        expected = np.array([1, 0.25, 4]) / 5.25
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), expected, atol=1e-4
        )

    def test_gamma_of_zero_keeps_weights_equal(self):
        method = MoCo(gamma=0.0, beta=1.0)
        rows = make_steps(1)[0]
        np.testing.assert_allclose(
            update_of(method, rows), rows.mean(axis=0), rtol=1e-5
        )


class TestArguments:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"beta": 0},
            {"beta": 1.5},
            {"gamma": -1},
            {"rho": None},
            {"beta_sigma": -0.5},
            {"gamma_sigma": "x"},
            {"scale_to_losses": 1},
            {"simplex": "sort"},
        ],
    )
    def test_refused(self, arguments):
        (name,) = arguments
        with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
            MoCo(**arguments)

    def test_losses_are_needed(self):
        with pytest.raises(ValueError, match="losses=None"):
            update_of(MoCo(scale_to_losses=True), np.eye(2))


class TestProperties:
    def test_scale_with_losses(self):
        # The lengths of the gradients do not matter at all.
        rows = ZOO["normal_3"]
        for scale in (1e-15, 1e15):
            method, scaled = (
                MoCo(scale_to_losses=True, beta=0.5) for _ in range(2)
            )
            for _ in range(3):
                np.testing.assert_allclose(
                    update_of(scaled, scale * rows, np.ones(3)),
                    update_of(method, rows, np.ones(3)),
                    rtol=1e-4,
                    atol=1e-6,
                )

    @pytest.mark.parametrize("name", ["all_zero_3", "one_zero_3", "huge_8"])
    def test_many_steps_stay_finite(self, name):
        for method in (MoCo(), MoCo(scale_to_losses=True)):
            losses = np.ones(len(ZOO[name]))
            for _ in range(4):
                update = update_of(method, ZOO[name], losses)
                assert np.isfinite(update).all()


@pytest.mark.parametrize("size", [1e-25, 1e22])
def test_lengths_of_losses_of_gradients_without_squares(size):
    """Gradients become as long as the losses, one, and weigh 1/2 each."""
    method = MoCo(scale_to_losses=True, beta=1.0)
    rows = np.float32([[size, 0, 0], [0, 1, 0]])
    update = method(rows, losses=np.float32([1, 1]))
    np.testing.assert_allclose(
        ops.convert_to_numpy(update), [0.5, 0.5, 0], rtol=1e-5
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
