"""Tests of MGDA. Its solver has tests of its own."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import MGDA
from keras_mtl.methods.step_info import StepInfo
from tests.tiers import slow_except

# Checks compile an aggregator once, so they share it.
SHARED = MGDA()
ZOO = testing.jacobians()
QUICK = ("normal_3", "opposed_3", "duplicate_3", "all_zero_3")


def weights_of(rows, losses=None, **kwargs):
    rows = np.asarray(rows, "float32")
    aggregator = MGDA(**kwargs)
    return ops.convert_to_numpy(aggregator.weights(rows @ rows.T, losses))


class TestTwoTasks:
    def test_golden(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        np.testing.assert_allclose(weights_of(jacobian), [0.6, 0.4], rtol=1e-5)
        update = ops.convert_to_numpy(MGDA()(jacobian))
        np.testing.assert_allclose(update, [0, 1, 1], atol=1e-5)

    def test_interior_point(self):
        rows = np.array([[1.0, 0.0], [0.0, 2.0]])
        weights = weights_of(rows)
        np.testing.assert_allclose(weights, [0.8, 0.2], rtol=1e-5)
        update = weights @ rows
        np.testing.assert_allclose(update, [0.8, 0.4], rtol=1e-5)
        np.testing.assert_allclose(rows @ update, [0.8, 0.8], rtol=1e-5)

    def test_dominated_task_gets_nothing(self):
        weights = weights_of([[1.0, 0.0], [2.0, 0.0]])
        np.testing.assert_array_equal(weights, [1, 0])

    def test_closed_form(self):
        rows = np.random.default_rng(0).standard_normal((500, 2, 3))
        rows = rows.astype("float32")
        grams = rows @ rows.transpose(0, 2, 1)
        first = (grams[:, 1, 1] - grams[:, 0, 1]) / (
            grams[:, 0, 0] + grams[:, 1, 1] - 2 * grams[:, 0, 1]
        )
        first = np.clip(first, 0, 1)
        weights = ops.convert_to_numpy(MGDA().weights(grams))
        expected = np.stack([first, 1 - first], axis=1)
        np.testing.assert_allclose(weights, expected, atol=2e-5)

    def test_opposed(self):
        weights = weights_of([[3.0, 0.0], [-1.0, 0.0]])
        np.testing.assert_allclose(weights, [0.25, 0.75], rtol=1e-5)


class TestOptimality:
    @pytest.mark.parametrize("name", slow_except(ZOO, *QUICK))
    def test_no_loss_rises(self, name):
        testing.assert_non_conflicting(SHARED, ZOO[name])

    def test_three_tasks_against_a_grid(self):
        rows = np.random.default_rng(0).standard_normal((10, 3, 4))
        steps = np.linspace(0, 1, 101)
        grid = np.array(
            [[a, b, 1 - a - b] for a in steps for b in steps if a + b <= 1]
        )
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        weights = ops.convert_to_numpy(MGDA().weights(grams))
        for weight, row in zip(weights, rows, strict=True):
            best = ((grid @ row) ** 2).sum(axis=1).min()
            update = weight @ row
            assert update @ update <= best + 1e-6
            assert update @ update <= (row**2).sum(axis=1).min() + 1e-6


class TestNormalization:
    rows = np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    losses = np.array([2.0, 1.0, 0.5])

    @pytest.mark.parametrize(
        "normalization, divisors",
        [
            ("none", [1, 1, 1]),
            ("l2", [3, 2, 1]),
            ("loss", [2, 1, 0.5]),
            ("loss+", [6, 2, 0.5]),
        ],
    )
    def test_solves_the_problem_of_divided_gradients(
        self, normalization, divisors
    ):
        # Orthogonal gradients get weights of one over their squares.
        squares = (np.array([3, 2, 1]) / divisors) ** 2
        expected = 1 / squares / (1 / squares).sum()
        weights = weights_of(
            self.rows, self.losses, normalization=normalization
        )
        np.testing.assert_allclose(weights, expected, rtol=1e-4)

    def test_batch_shares_the_losses(self):
        gram = (self.rows @ self.rows.T).astype("float32")
        batch = MGDA("loss").weights(np.stack([gram, gram]), self.losses)
        single = MGDA("loss").weights(gram, self.losses)
        np.testing.assert_allclose(
            ops.convert_to_numpy(batch),
            np.stack([ops.convert_to_numpy(single)] * 2),
            rtol=1e-5,
        )

    @pytest.mark.parametrize("normalization", ["loss", "loss+"])
    @pytest.mark.parametrize(
        "losses", [[1e-20, 1.0, 1e10], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    )
    def test_extreme_losses(self, normalization, losses):
        weights = weights_of(self.rows, losses, normalization=normalization)
        assert np.isfinite(weights).all()
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)

    @pytest.mark.parametrize("normalization", ["l2", "loss+"])
    def test_zero_gradient(self, normalization):
        rows = self.rows * [[1], [0], [1]]
        weights = weights_of(rows, self.losses, normalization=normalization)
        np.testing.assert_array_equal(weights, [0, 1, 0])

    @pytest.mark.parametrize("normalization", ["loss", "loss+"])
    def test_losses_are_needed(self, normalization):
        with pytest.raises(ValueError, match="losses=None"):
            weights_of(self.rows, normalization=normalization)

    @pytest.mark.parametrize("normalization", ["L2", None, "mean"])
    def test_unknown(self, normalization):
        with pytest.raises(ValueError, match="`normalization` must be one of"):
            MGDA(normalization=normalization)


class TestSwappedWeights:
    """The mistake of published code, to reproduce its numbers."""

    def test_is_the_published_formula(self):
        rows = np.random.default_rng(0).standard_normal((300, 2, 3))
        rows[:50, 1] *= 30
        rows[50:60, 1] = 2 * rows[50:60, 0]
        # The longer gradient gets more, where MGDA gives it less.
        rows[0] = [[1, 0, 0], [0, 2, 0]]
        left, right = rows[:, 0], rows[:, 1]
        apart = left - right
        first = (apart * left).sum(-1) / (apart**2).sum(-1)
        first = np.clip(first, 0.001, 0.999)
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        weights = MGDA(swapped_weights=True).weights(grams)
        expected = np.stack([first, 1 - first], axis=1)
        weights = ops.convert_to_numpy(weights)
        np.testing.assert_allclose(weights, expected, atol=2e-5)
        np.testing.assert_allclose(weights[0], [0.2, 0.8], rtol=1e-5)

    def test_a_task_without_labels_takes_no_part(self):
        gram = np.diag(np.array([4.0, 0.0], "float32"))
        step = StepInfo(present=np.array([True, False]))
        weights = MGDA(swapped_weights=True).update(gram, step)
        assert float(weights[0]) > 0.999

    def test_two_tasks_only(self):
        rule = MGDA(swapped_weights=True)
        with pytest.raises(ValueError, match="3 task.*gram.shape=.3, 3"):
            rule.weights(np.eye(3))
        with pytest.raises(ValueError, match="1 task.*'a'"):
            rule.build(["a"])
        with pytest.raises(ValueError, match="`swapped_weights` .*'yes'"):
            MGDA(swapped_weights="yes")

    def test_config(self):
        config = MGDA(swapped_weights=True).get_config()
        assert MGDA.from_config(config).swapped_weights is True


class TestProperties:
    @pytest.mark.slow
    def test_l2(self):
        # Where normalised gradients depend, many weights are optimal.
        checks = [
            testing.assert_scale_invariant,
            testing.assert_permutation_equivariant,
        ]
        matrices = {n: ZOO[n] for n in ("normal_8", "uneven_8", "agreeing_8")}
        testing.check_aggregator(MGDA("l2"), checks, matrices)

    @pytest.mark.parametrize("name", slow_except(ZOO, *QUICK))
    def test_order_of_tasks(self, name):
        testing.assert_permutation_equivariant(SHARED, ZOO[name])

    def test_has_no_state(self):
        assert MGDA().variables == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
