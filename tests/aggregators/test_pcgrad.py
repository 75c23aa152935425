"""Tests of PCGrad."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators.pcgrad import orders_of_all
from keras_mtl.aggregators.pcgrad import project_conflicts
from tests.aggregators.common import orders_of_step
from tests.tiers import slow_except

# Compiled once for each shape, in all tests.
project = testing.compiled(project_conflicts, jit_compile=False)
ZOO = testing.jacobians()


def reference_update(jacobian, orders):
    """PCGrad as its paper writes it, on the gradients, in float64."""
    rows = np.asarray(jacobian, "float64")
    update = np.zeros(rows.shape[1])
    for row, order in zip(rows, orders):
        projected = row.copy()
        for other in rows[order]:
            dot = projected @ other
            if dot < 0:
                projected -= dot / (other @ other) * other
        update += projected
    return update


def draws_of(aggregator, gram, count):
    gram = ops.convert_to_tensor(gram)
    return [ops.convert_to_numpy(aggregator.update(gram)) for _ in range(count)]


class TestTwoTasks:
    def test_golden(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        weights = ops.convert_to_numpy(
            PCGrad().update(np.array([[18.0, -22.0], [-22.0, 38.0]]))
        )
        np.testing.assert_allclose(weights, [20 / 9, 30 / 19], rtol=1e-6)
        update = ops.convert_to_numpy(PCGrad()(jacobian))
        expected = [0.5847953, 3.8011696, 3.8011696]
        np.testing.assert_allclose(update, expected, rtol=1e-5)

    def test_paper_example(self):
        rows = np.array([[1.0, 0.0], [-1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(PCGrad()(rows))
        np.testing.assert_allclose(update, [0.5, 1.5], rtol=1e-6)

    def test_closed_form(self):
        rows = np.random.default_rng(0).standard_normal((500, 2, 3))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        dots = np.minimum(grams[:, 0, 1], 0)[:, None]
        squares = np.stack([grams[:, 0, 0], grams[:, 1, 1]], axis=1)
        weights = ops.convert_to_numpy(PCGrad().update(grams))
        assert (dots < 0).sum() > 100
        np.testing.assert_allclose(weights, 1 - dots / squares, rtol=1e-5)


class TestAgainstExplicitVectors:
    @pytest.mark.slow
    @pytest.mark.parametrize("num_tasks", [2, 3, 5, 8, 16, 40])
    def test_same_orders_same_update(self, num_tasks):
        rng = np.random.default_rng(num_tasks)
        for draw in range(20):
            rows = rng.standard_normal((num_tasks, 2 * num_tasks))
            orders = orders_of_step(0, draw, num_tasks)
            gram = (rows @ rows.T).astype("float32")
            weights = ops.convert_to_numpy(project(gram, orders))
            expected = reference_update(rows, orders)
            gap = np.linalg.norm(weights @ rows - expected)
            assert gap < 1e-5 * np.linalg.norm(expected)

    @pytest.mark.parametrize(
        "name", slow_except(ZOO, "normal_3", "opposed_3", "normal_8")
    )
    def test_zoo(self, name):
        rows = ZOO[name].astype("float64")
        orders = orders_of_step(1, 0, len(rows))
        gram = (rows @ rows.T).astype("float32")
        weights = ops.convert_to_numpy(project(gram, orders))
        # What is exactly opposed is zero or rounding, and divided by it.
        longest = np.linalg.norm(rows, axis=1).max()
        gap = np.abs(weights @ rows - reference_update(rows, orders)).max()
        assert gap <= 1e-4 * longest

    @pytest.mark.parametrize("num_tasks", [3, 8])
    def test_aggregator_uses_the_orders_of_its_seed(self, num_tasks):
        rows = np.random.default_rng(2).standard_normal((num_tasks, num_tasks))
        rows = rows.astype("float32")
        aggregator = PCGrad(seed=5)
        for step in range(3):
            update = ops.convert_to_numpy(aggregator(rows))
            orders = orders_of_step(5, step, num_tasks)
            expected = reference_update(rows, orders)
            np.testing.assert_allclose(update, expected, rtol=1e-3, atol=1e-4)


class TestVisitingItself:
    """As the authors' code does, where it is given all tasks to visit."""

    @pytest.mark.parametrize("size", [2, 3, 8])
    def test_orders_hold_every_task(self, size):
        orders = ops.convert_to_numpy(orders_of_all(np.array([3, 1]), size))
        assert (np.sort(orders, axis=1) == np.arange(size)).all()

    @pytest.mark.slow
    def test_update(self):
        rows = np.random.default_rng(6).standard_normal((40, 4, 2))
        differ = 0
        for step, matrix in enumerate(rows.astype("float32")):
            one = PCGrad(seed=step, visit_self=True)
            update = ops.convert_to_numpy(one(matrix))
            orders = orders_of_all(np.array([step, 0]), 4)
            expected = reference_update(matrix, ops.convert_to_numpy(orders))
            np.testing.assert_allclose(update, expected, rtol=1e-3, atol=1e-4)
            others = [
                order[order != i]
                for i, order in enumerate(ops.convert_to_numpy(orders))
            ]
            without = reference_update(matrix, others)
            differ += np.abs(expected - without).max() > 1e-3
        assert differ > 0

    def test_config(self):
        assert PCGrad().get_config()["visit_self"] is False
        copy = PCGrad.from_config(PCGrad(visit_self=True).get_config())
        assert copy.visit_self is True
        with pytest.raises(ValueError, match="`visit_self` must be True or"):
            PCGrad(visit_self="yes")


class TestConflicts:
    def test_no_conflict_is_the_sum(self):
        rows = np.abs(np.random.default_rng(0).standard_normal((5, 10)))
        weights = ops.convert_to_numpy(PCGrad().update(rows @ rows.T))
        np.testing.assert_array_equal(weights, np.ones(5))

    def test_zero_gradient_conflicts_with_nothing(self):
        rows = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]])
        weights = ops.convert_to_numpy(PCGrad().update(rows @ rows.T))
        np.testing.assert_allclose(weights, [2, 1, 1.5], rtol=1e-6)

    def test_opposed_gradients_cancel(self):
        rows = np.array([[3.0, 1.0], [-3.0, -1.0]], "float32")
        update = ops.convert_to_numpy(PCGrad()(rows))
        np.testing.assert_allclose(update, [0, 0], atol=1e-6)

    def test_one_task(self):
        weights = ops.convert_to_numpy(PCGrad().update(np.array([[4.0]])))
        np.testing.assert_array_equal(weights, [1])


class TestRandomness:
    rows = np.random.default_rng(0).standard_normal((6, 3))
    gram = (rows @ rows.T).astype("float32")

    # What the orders of seed 3 give, on every backend.
    golden = np.array(
        [
            [5.61040, 1.50439, 3.81581, 1.33828, 1.23388, 2.55002],
            [5.40403, 3.13840, 3.49705, 1.27532, 1.31761, 2.18119],
        ]
    )

    def test_golden(self):
        draws = draws_of(PCGrad(seed=3), self.gram, 2)
        np.testing.assert_allclose(draws, self.golden, rtol=1e-4)

    @pytest.mark.parametrize("jit_compile", [True, False])
    def test_golden_compiled(self, jit_compile):
        aggregator = PCGrad(seed=3)
        run = testing.compiled(
            aggregator.update, aggregator.variables, jit_compile
        )
        draws = [ops.convert_to_numpy(run(self.gram)) for _ in range(2)]
        np.testing.assert_allclose(draws, self.golden, rtol=1e-4)

    def test_fresh_orders_each_call(self):
        draws = draws_of(PCGrad(seed=0), self.gram, 6)
        assert len({tuple(np.round(draw, 4)) for draw in draws}) > 2

    def test_fresh_orders_each_compiled_call(self):
        aggregator = PCGrad(seed=0)
        run = testing.compiled(aggregator.update, aggregator.variables)
        draws = [ops.convert_to_numpy(run(self.gram)) for _ in range(6)]
        expected = draws_of(PCGrad(seed=0), self.gram, 6)
        assert len({tuple(np.round(draw, 4)) for draw in draws}) > 2
        np.testing.assert_allclose(draws, expected, rtol=1e-4)

    def test_seed_decides_the_sequence(self):
        left = draws_of(PCGrad(seed=11), self.gram, 4)
        right = draws_of(PCGrad(seed=11), self.gram, 4)
        other = draws_of(PCGrad(seed=12), self.gram, 4)
        np.testing.assert_array_equal(left, right)
        assert np.abs(np.subtract(left, other)).max() > 1e-3

    def test_state_resumes_the_sequence(self):
        aggregator = PCGrad()
        draws_of(aggregator, self.gram, 2)
        state = [ops.convert_to_numpy(v) for v in aggregator.variables]
        expected = draws_of(aggregator, self.gram, 3)
        resumed = PCGrad()
        for variable, value in zip(resumed.variables, state):
            variable.assign(value)
        actual = draws_of(resumed, self.gram, 3)
        np.testing.assert_array_equal(actual, expected)

    def test_matrices_of_a_batch_share_the_orders(self):
        aggregator = PCGrad(seed=1)
        weights = ops.convert_to_numpy(
            aggregator.update(np.stack([self.gram, 4 * self.gram]))
        )
        np.testing.assert_allclose(weights[0], weights[1], rtol=1e-6)

    @pytest.mark.parametrize("seed", [1.5, "3"])
    def test_bad_seed(self, seed):
        with pytest.raises(ValueError, match="`seed` must be an integer"):
            PCGrad(seed=seed)


class TestProperties:
    @pytest.mark.slow
    def test_two_tasks_never_conflict(self):
        checks = [
            testing.assert_non_conflicting,
            testing.assert_permutation_equivariant,
        ]
        testing.check_aggregator(PCGrad(), checks, testing.jacobians((2,)))

    def test_gradients_that_are_not_finite_stay_so(self):
        rows = np.array([[1.0, 2.0], [np.nan, 1.0]], "float32")
        update = ops.convert_to_numpy(PCGrad()(rows))
        assert not np.isfinite(update).all()

    def test_state_is_one_seed(self):
        (state,) = PCGrad(seed=4).variables
        assert isinstance(state, keras.Variable)
        assert ops.convert_to_numpy(state).tolist() == [4, 0]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
