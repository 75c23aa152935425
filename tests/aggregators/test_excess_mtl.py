"""Tests of ExcessMTL."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.excess_mtl import ExcessMTL
from tests.aggregators.common import make_steps
from tests.aggregators.common import update_of
from tests.tiers import slow_except

ZOO = testing.jacobians()


def reference(steps, eta, warmup_steps):
    """Updates as the paper has them, in float64."""
    num_tasks = len(steps[0])
    sums = np.zeros(steps[0].shape)
    weights = np.full(num_tasks, 1 / num_tasks)
    seen, updates = [], []
    for rows in steps:
        sums = sums + rows**2
        risks = (rows**2 / np.sqrt(sums + 1e-7)).sum(axis=1)
        if len(seen) < warmup_steps:
            seen.append(risks)
        else:
            risks = risks / np.mean(seen, axis=0)
            weights = weights * np.exp(eta * risks)
            weights = weights / weights.sum()
        updates.append(weights @ rows)
    return np.array(updates)


class TestAgainstTheAlgorithm:
    @pytest.mark.parametrize(
        "eta, warmup_steps", [(0.01, 1), (1.0, 1), (0.5, 3), (0.0, 1)]
    )
    @pytest.mark.parametrize("num_tasks", slow_except([2, 5], 2))
    def test_updates(self, eta, warmup_steps, num_tasks):
        method = ExcessMTL(eta, warmup_steps)
        steps = make_steps(15, num_tasks)
        actual = [update_of(method, rows) for rows in steps]
        expected = reference(steps, eta, warmup_steps)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5)

    def test_small_gradients(self):
        method = ExcessMTL(1.0)
        steps = make_steps(5, scale=1e-4)
        actual = [update_of(method, rows) for rows in steps]
        expected = reference(steps, 1.0, 1)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-9)

    def test_weight_goes_to_what_does_not_converge(self):
        method = ExcessMTL(0.5)
        for step in range(10):
            update = update_of(method, np.diag([1.0, 0.3**step]))
        np.testing.assert_allclose(update[0], 0.876873, rtol=1e-5)

    def test_a_task_starts_when_it_has_a_gradient(self):
        method = ExcessMTL(0.5)
        for _ in range(3):
            update_of(method, np.diag([1.0, 0.0]))
        update_of(method, np.diag([1.0, 2.0]))
        first = ops.convert_to_numpy(method.first_risks)
        np.testing.assert_allclose(first, [1, 2], rtol=1e-5)

    def test_weights_too_small_come_back(self):
        # The task's weight is exp(-200), which float32 holds as zero.
        method = ExcessMTL(200.0)
        update_of(method, np.diag([1.0, 1.0]))
        update = update_of(method, np.diag([10.0, 1e-3]))
        np.testing.assert_allclose(update, [10, 0], atol=1e-6)
        for _ in range(8):
            update = update_of(method, np.diag([0.0, 10.0]))
        np.testing.assert_allclose(update, [0, 10], atol=1e-6)


class TestArguments:
    @pytest.mark.parametrize(
        "arguments",
        [{"eta": -1}, {"warmup_steps": 0}, {"warmup_steps": 1.5}],
    )
    def test_refused(self, arguments):
        (name,) = arguments
        with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
            ExcessMTL(**arguments)

    def test_no_weights_of_a_gram(self):
        with pytest.raises(NotImplementedError, match="coordinate"):
            ExcessMTL().weights(np.eye(2))


class TestProperties:
    @pytest.mark.slow
    def test_zoo(self):
        # The universal ones without those of `weights`, which it has not.
        checks = [
            testing.assert_scale_invariant,
            testing.assert_permutation_equivariant,
        ]
        matrices = {n: ZOO[n] for n in ZOO if n[-1] in "38"}
        testing.check_aggregator(ExcessMTL(), checks, matrices)

    @pytest.mark.parametrize("name", [n for n in ZOO if n[-1] == "3"])
    def test_many_steps_stay_finite(self, name):
        method = ExcessMTL(1.0)
        for step in range(4):
            assert np.isfinite(update_of(method, ZOO[name] / 10**step)).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
