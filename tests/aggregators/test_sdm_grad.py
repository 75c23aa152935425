"""Tests of SDMGrad."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.sdm_grad import SDMGrad
from tests.aggregators.common import make_steps
from tests.aggregators.common import project
from tests.aggregators.common import update_of
from tests.tiers import slow_except

ZOO = testing.jacobians()


def reference(steps, method):
    """Updates of the algorithm with consecutive batches, in float64."""
    num_tasks = len(steps[0])
    weights = np.full(num_tasks, 1 / num_tasks)
    target = weights
    if method.preference is not None:
        target = np.array(method.preference) / np.sum(method.preference)
    updates, previous = [], None
    for rows in steps:
        mix = (weights + method.lambda_ * target) / (1 + method.lambda_)
        updates.append(mix @ rows)
        if previous is not None:
            norms = np.linalg.norm(previous, axis=1)
            norms = np.sqrt(norms * np.linalg.norm(rows, axis=1))
            products = previous @ rows.T / norms.mean() ** 2
            velocity = 0
            for _ in range(method.num_iterations):
                slopes = products @ (weights + method.lambda_ * target)
                velocity = method.momentum * velocity + slopes
                weights = project(weights - method.learning_rate * velocity)
        previous = rows
    return np.array(updates)


class TestAgainstTheAlgorithm:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"learning_rate": 0.1},
            {"learning_rate": 0.05, "lambda_": 2.0, "momentum": 0.0},
            {"learning_rate": 0.3, "lambda_": 0.0, "num_iterations": 3},
            {"learning_rate": 0.1, "preference": [3.0, 0.0, 1.0, 2.0, 6.0]},
        ],
    )
    @pytest.mark.parametrize("num_tasks", slow_except([2, 5], 2))
    def test_updates(self, arguments, num_tasks):
        if "preference" in arguments:
            preference = arguments["preference"][:num_tasks]
            arguments = {**arguments, "preference": preference}
        method = SDMGrad(**arguments)
        steps = make_steps(10, num_tasks)
        actual = [update_of(method, rows) for rows in steps]
        expected = reference(steps, method)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.slow
    def test_defaults(self):
        method = SDMGrad()
        steps = make_steps(10, 2)
        actual = [update_of(method, rows) for rows in steps]
        expected = reference(steps, method)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.slow
    def test_defaults_with_many_tasks_amplify_rounding(self):
        # Steps that large do not converge: gradients that differ by 1e-7 give
        # updates that differ by more than 1e-3, also in float64.
        steps = make_steps(10, 5)
        noise = np.random.default_rng(0).standard_normal(steps.shape)
        method = SDMGrad()
        expected = reference(steps, method)
        nearby = reference(steps * (1 + 1e-7 * noise), method)
        assert np.abs(nearby - expected).max() > 1e-3
        # So they are not compared; the weights stay on the simplex.
        for rows in steps:
            assert np.isfinite(update_of(method, rows)).all()
            weights = ops.convert_to_numpy(method.task_weights)
            np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
            assert (weights >= 0).all()

    def test_a_strong_pull_is_the_preferred_sum(self):
        method = SDMGrad(lambda_=1e4, preference=[3, 1, 0])
        for rows in make_steps(3):
            np.testing.assert_allclose(
                update_of(method, rows), [0.75, 0.25, 0] @ rows, atol=1e-3
            )

    def test_first_two_updates_are_the_mean(self):
        method = SDMGrad()
        for rows in make_steps(2):
            np.testing.assert_allclose(
                update_of(method, rows), rows.mean(axis=0), rtol=1e-4
            )

    @pytest.mark.slow
    def test_settles_at_the_least_norm(self):
        # Least norm of w + u on diag(1, 2, 1/2), over the simplex.
        rows = np.diag([1.0, 2.0, 0.5])
        method = SDMGrad(lambda_=1.0, learning_rate=0.1)
        for _ in range(15):
            update = update_of(method, rows)
        squares = np.array([1.0, 4.0, 0.25])
        # Task 2 has no weight, of 1 and 3 the slopes are equal.
        first = (0.25 * (1 + 1 / 3) - 1 / 3) / 1.25
        weights = np.array([max(first, 0), 0, 1 - max(first, 0)])
        slopes = squares * (weights + 1 / 3)
        assert slopes[2] <= slopes[:2].min() + 1e-12
        expected = (weights + 1 / 3) / 2 @ rows
        np.testing.assert_allclose(update, expected, atol=1e-4)

    @pytest.mark.parametrize("scale", [1e-15, 1e15])
    def test_scale_of_a_sequence(self, scale):
        method, scaled = (SDMGrad(learning_rate=0.1) for _ in range(2))
        for rows in make_steps(5):
            np.testing.assert_allclose(
                update_of(scaled, scale * rows) / scale,
                update_of(method, rows),
                rtol=1e-3,
                atol=1e-4,
            )


class TestProperties:
    @pytest.mark.parametrize("name", [n for n in ZOO if n[-1] == "3"])
    def test_many_steps_stay_finite(self, name):
        method = SDMGrad(num_iterations=4)
        for _ in range(3):
            assert np.isfinite(update_of(method, ZOO[name])).all()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"lambda_": -1},
            {"learning_rate": -0.1},
            {"momentum": 1.5},
            {"num_iterations": 0},
            {"num_iterations": True},
        ],
    )
    def test_refused(self, arguments):
        (name,) = arguments
        with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
            SDMGrad(**arguments)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
