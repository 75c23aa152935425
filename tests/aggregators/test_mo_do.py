"""Tests of MoDo."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.mo_do import MoDo
from keras_mtl.methods import GradientSpec
from keras_mtl.methods import StepInfo
from tests.aggregators.common import make_steps
from tests.aggregators.common import project
from tests.aggregators.common import update_of
from tests.tiers import slow_except

ZOO = testing.jacobians()


def reference(steps, gamma, rho):
    """Updates of the algorithm with consecutive batches, in float64."""
    weights = np.full(len(steps[0]), 1 / len(steps[0]))
    updates, previous = [], None
    for rows in steps:
        updates.append(weights @ rows)
        if previous is not None:
            slopes = previous @ (rows.T @ weights) + rho * weights
            weights = project(weights - gamma * slopes)
        previous = rows
    return np.array(updates)


class TestAgainstTheAlgorithm:
    @pytest.mark.parametrize(
        "gamma, rho", [(0.1, 0.0), (0.02, 0.0), (0.02, 2.0), (0.0, 0.0)]
    )
    @pytest.mark.parametrize("num_tasks", slow_except([2, 5], 2))
    def test_updates(self, gamma, rho, num_tasks):
        method = MoDo(gamma, rho)
        steps = make_steps(15, num_tasks)
        actual = [update_of(method, rows) for rows in steps]
        expected = reference(steps, gamma, rho)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5)

    def test_first_update_is_the_mean_and_so_is_the_second(self):
        # The weights have not moved before there are two batches.
        method = MoDo()
        for rows in make_steps(2):
            np.testing.assert_allclose(
                update_of(method, rows), rows.mean(axis=0), rtol=1e-4
            )

    def test_settles_at_the_least_norm(self):
        rows = np.diag([1.0, 2.0, 0.5]).astype("float32")
        method = MoDo(0.2)
        method.build(GradientSpec(3, (), ((3,),)))
        run = testing.compiled(method, method.variables, False)
        for _ in range(300):
            update = run(rows)
        expected = np.array([1, 0.5, 2]) / 5.25
        np.testing.assert_allclose(
            ops.convert_to_numpy(update), expected, atol=1e-4
        )

    @pytest.mark.slow
    def test_noise_does_not_bias_the_weights(self):
        # One task's gradient is noise around that of the other. The square
        # would say it is long; the product of two batches does not.
        rng = np.random.default_rng(0)
        method = MoDo(0.002)
        method.build(GradientSpec(2, (), ((4,),)))
        run = testing.compiled(method, method.variables, False)
        held = []
        for _ in range(3000):
            noise = np.stack([np.zeros(4), 2 * rng.standard_normal(4)])
            run((np.eye(2, 4) + noise).astype("float32"))
            held.append(ops.convert_to_numpy(method.task_weights)[1])
        assert 0.4 < np.mean(held[1000:]) < 0.6

    def test_new_task_keeps_its_weight_until_it_is_known(self):
        method = MoDo(0.02)
        method.build(GradientSpec(3, (), ((8,),)))
        steps = make_steps(4)
        present = np.array([True, True, False])
        for index, rows in enumerate(steps):
            here = None if index == 3 else present
            step = StepInfo(present=here)
            columns = method.transform([list(rows.astype("float32"))], step)
            stacked = ops.stack(columns[0])
            method.update(ops.matmul(stacked, ops.transpose(stacked)), step)
            held = ops.convert_to_numpy(method.task_weights)
            np.testing.assert_allclose(held[2], 1 / 3, rtol=1e-6)
            np.testing.assert_allclose(held.sum(), 1, rtol=1e-6)


class TestFullBatch:
    def test_weights_of_a_gram_are_steps(self):
        rows = make_steps(1)[0]
        method, weights = MoDo(0.02), np.full(3, 1 / 3)
        for _ in range(5):
            actual = ops.convert_to_numpy(method.update(rows @ rows.T))
            np.testing.assert_allclose(actual, weights, rtol=1e-4, atol=1e-6)
            weights = project(weights - 0.02 * (rows @ (rows.T @ weights)))


class TestProperties:
    @pytest.mark.parametrize("name", [n for n in ZOO if n[-1] == "3"])
    def test_many_steps_stay_finite(self, name):
        method = MoDo()
        for _ in range(4):
            assert np.isfinite(update_of(method, ZOO[name])).all()

    @pytest.mark.parametrize("arguments", [{"gamma": -1}, {"rho": -0.1}])
    def test_refused(self, arguments):
        (name,) = arguments
        with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
            MoDo(**arguments)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
