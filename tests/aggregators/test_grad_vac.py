"""Tests of GradVac."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import testing
from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators.grad_vac import GradVac
from keras_mtl.aggregators.grad_vac import raise_cosines
from keras_mtl.methods import GradientSpec
from keras_mtl.methods import StepInfo
from keras_mtl.solvers.random_numbers import random_orders
from tests.tiers import slow_except

# Compiled once for each shape, in all tests.
run = testing.compiled(raise_cosines, jit_compile=False)
ZOO = testing.jacobians()


def reference_step(rows, targets, orders, beta):
    """GradVac as its paper writes it, on the gradients, in float64."""
    targets = np.array(targets, "float64")
    update = np.zeros(rows.shape[1])
    for i, order in enumerate(orders):
        changed = rows[i].copy()
        for j in order:
            norm, other = np.linalg.norm(changed), np.linalg.norm(rows[j])
            cosine = changed @ rows[j] / (norm * other)
            target = targets[i, j]
            if cosine < target:
                factor = norm * (
                    target * np.sqrt(1 - cosine**2)
                    - cosine * np.sqrt(1 - target**2)
                )
                factor /= other * np.sqrt(1 - target**2)
                changed += factor * rows[j]
            targets[i, j] = (1 - beta) * target + beta * cosine
        update += changed
    return update, targets


def orders_of_step(seed, step, num_tasks):
    key = np.array([seed, step])
    return ops.convert_to_numpy(random_orders(key, num_tasks))


def value(variable):
    return ops.convert_to_numpy(variable)


def gram_of(rows):
    rows = np.asarray(rows, "float64")
    return (rows @ rows.T).astype("float32")


class TestFirstStep:
    def test_golden(self):
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        weights = value(GradVac().update(gram_of(jacobian)))
        np.testing.assert_allclose(weights, [20 / 9, 30 / 19], rtol=1e-6)
        update = value(GradVac()(jacobian))
        expected = [0.5847953, 3.8011696, 3.8011696]
        np.testing.assert_allclose(update, expected, rtol=1e-5)

    @pytest.mark.parametrize(
        "name",
        slow_except([n for n in ZOO if n[-1] in "38"], "normal_3", "opposed_3"),
    )
    def test_is_that_of_pcgrad(self, name):
        rows = ZOO[name].astype("float64")
        gram = gram_of(rows)
        found = value(GradVac(seed=3).update(gram)) @ rows
        expected = value(PCGrad(seed=3).update(gram)) @ rows
        # What is exactly opposed is zero or rounding, and divided by it.
        longest = np.linalg.norm(rows, axis=1).max()
        assert np.abs(found - expected).max() <= 1e-4 * longest


class TestTwoTasks:
    def test_by_hand(self):
        # Orthogonal, then agreeing, then orthogonal again: the target of 0.25
        # is missed by both.
        method = GradVac(beta=0.5)
        sequence = [np.eye(2), [[1.0, 0.5], [0.5, 1.0]], np.eye(2)]
        draws = [value(method.update(np.array(gram))) for gram in sequence]
        missing = 0.25 / (1 - 0.25**2) ** 0.5
        np.testing.assert_allclose(
            draws, [[1, 1], [1, 1], [1 + missing] * 2], rtol=1e-6
        )
        expected = [[0, 0.125], [0.125, 0]]
        np.testing.assert_allclose(value(method.targets), expected, rtol=1e-6)

    def test_lengths(self):
        # As before, with gradients of lengths 1 and 10.
        method = GradVac(beta=0.5)
        for gram in ([[1.0, 5.0], [5.0, 100.0]], [[1.0, 0.0], [0.0, 100.0]]):
            weights = value(method.update(np.array(gram)))
        missing = 0.25 / (1 - 0.25**2) ** 0.5
        expected = [1 + 10 * missing, 1 + missing / 10]
        np.testing.assert_allclose(weights, expected, rtol=1e-5)

    def test_reaches_the_target(self):
        rng = np.random.default_rng(0)
        for target in (-0.9, -0.3, 0.0, 0.4, 0.95):
            rows = rng.standard_normal((2, 3))
            mix, _ = run(
                gram_of(rows)[None],
                np.full((1, 2, 2), target, "float32"),
                np.array([[1], [0]]),
            )
            expected, _ = reference_step(
                rows, np.full((2, 2), target), [[1], [0]], 0.0
            )
            np.testing.assert_allclose(
                value(mix)[0] @ rows, expected, rtol=1e-3, atol=1e-4
            )


class TestAgainstExplicitVectors:
    @pytest.mark.slow
    @pytest.mark.parametrize("num_tasks", [2, 3, 8, 40])
    def test_sequences(self, num_tasks):
        rng = np.random.default_rng(num_tasks)
        method = GradVac(beta=0.3, seed=7)
        method.build(GradientSpec(num_tasks))
        weights_of = testing.compiled(method.update, method.variables, False)
        targets = np.zeros((num_tasks, num_tasks))
        common = rng.standard_normal(3 * num_tasks)
        for step in range(6):
            rows = rng.standard_normal((num_tasks, 3 * num_tasks))
            rows += common * rng.uniform(-0.1, 1.5, (num_tasks, 1))
            rows *= 10 ** rng.uniform(-1, 1, (num_tasks, 1))
            orders = orders_of_step(7, step, num_tasks)
            expected, targets = reference_step(rows, targets, orders, 0.3)
            update = value(weights_of(gram_of(rows))) @ rows
            gap = np.linalg.norm(update - expected)
            assert gap < 1e-4 * np.linalg.norm(expected)
            np.testing.assert_allclose(
                value(method.targets), targets, atol=1e-4
            )
        assert targets.max() > 0.05

    def test_gradients_of_uneven_lengths(self):
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((6, 12)) * np.logspace(-2, 2, 6)[:, None]
        targets = rng.uniform(-0.5, 0.5, (6, 6))
        orders = orders_of_step(0, 0, 6)
        expected, after = reference_step(rows, targets, orders, 1.0)
        weights, surprise = run(
            gram_of(rows), targets.astype("float32"), orders
        )
        gap = np.linalg.norm(value(weights) @ rows - expected)
        assert gap < 1e-4 * np.linalg.norm(expected)
        np.testing.assert_allclose(value(surprise), after - targets, atol=1e-4)


class TestTargets:
    rows = np.random.default_rng(1).standard_normal((3, 6))

    def built(self, beta=0.5):
        method = GradVac(beta=beta, seed=0)
        method.update(gram_of(self.rows))
        return method

    def test_state(self):
        method = GradVac()
        method.build(GradientSpec(3, (4,)))
        assert method.remembers
        counter, targets = method.variables
        assert targets.name == "targets" and not targets.trainable
        np.testing.assert_array_equal(value(targets), np.zeros((4, 3, 3)))

    def test_zero_beta_is_pcgrad(self):
        method, other = GradVac(beta=0, seed=0), PCGrad(seed=0)
        for _ in range(2):
            np.testing.assert_allclose(
                value(method.update(gram_of(self.rows))),
                value(other.update(gram_of(self.rows))),
                rtol=1e-4,
            )
        assert not value(method.targets).any()

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_overflow_shows(self, bad):
        """And the trainer undoes what it did to the targets."""
        method = GradVac(beta=0.5, seed=0)
        good = gram_of(self.rows)
        wrong = good.copy()
        wrong[1, 1] = bad
        weights = value(method.update(np.stack([wrong, good])))
        assert np.isnan(weights[0]).all() and np.isfinite(weights[1]).all()

    def test_a_look_is_no_step(self):
        method = self.built()
        before = [value(v) for v in method.variables]
        gram = gram_of(self.rows[::-1])
        seen = [value(method.weights(gram)) for _ in range(2)]
        for variable, held in zip(method.variables, before, strict=True):
            np.testing.assert_array_equal(value(variable), held)
        np.testing.assert_array_equal(seen, [value(method.update(gram))] * 2)

    def test_absent_tasks_keep_theirs(self):
        method = self.built()
        before = value(method.targets)
        gram = gram_of(self.rows[::-1])
        gram[1] = gram[:, 1] = 0
        weights = method.update(
            gram, StepInfo(present=np.array([True, False, True]))
        )
        after = value(method.targets)
        np.testing.assert_array_equal(after[1], before[1])
        np.testing.assert_array_equal(after[:, 1], before[:, 1])
        assert after[0, 2] != before[0, 2] and after[2, 0] != before[2, 0]
        assert value(weights)[1] == 1
        alone = GradVac(beta=0.5)
        alone.build(GradientSpec(2))
        alone.targets.assign(before[np.ix_([0, 2], [0, 2])])
        expected = value(alone.update(gram[np.ix_([0, 2], [0, 2])]))
        np.testing.assert_allclose(value(weights)[[0, 2]], expected, rtol=1e-5)

    def test_all_present(self):
        left, right = self.built(), self.built()
        gram = gram_of(self.rows[::-1])
        np.testing.assert_array_equal(
            value(left.update(gram)),
            value(right.update(gram, StepInfo(present=np.array([True] * 3)))),
        )

    def test_zero_gradients_keep_theirs(self):
        method = self.built()
        before = value(method.targets)
        weights = value(method.update(np.diag([0.0, 1.0, 0.0])))
        np.testing.assert_array_equal(weights, [1, 1, 1])
        np.testing.assert_array_equal(value(method.targets), before)

    def test_what_rounding_leaves_over_is_not_learnt(self):
        # Task 0 opposes task 1 and visits it before or after task 2.
        rows = np.array([[3.0, 1.0], [-3.0, -1.0], [0.3, 2.0]])
        for seed in range(6):
            method = GradVac(beta=1.0, seed=seed)
            method.update(gram_of(rows))
            first = orders_of_step(seed, 0, 3)[0, 0]
            learnt = value(method.targets)[0, 2]
            cosine = (
                rows[0]
                @ rows[2]
                / np.prod(np.linalg.norm(rows[[0, 2]], axis=1))
            )
            expected = 0.0 if first == 1 else cosine
            np.testing.assert_allclose(learnt, expected, atol=1e-5)

    def test_duplicates_for_long(self):
        method = GradVac(beta=0.5)
        method.build(GradientSpec(2))
        weights_of = testing.compiled(method.update, method.variables, False)
        for _ in range(60):
            weights = value(weights_of(np.ones((2, 2), "float32")))
        np.testing.assert_allclose(weights, [1, 1], rtol=1e-3)
        # The target is one now; gradients that part stay finite.
        weights = value(weights_of(np.eye(2, dtype="float32")))
        assert np.isfinite(weights).all() and (weights < 1e3).all()

    def test_resumed(self):
        method = self.built()
        state = [value(v) for v in method.variables]
        expected = value(method.update(gram_of(self.rows[::-1])))
        resumed = GradVac(beta=0.5)
        resumed.build(GradientSpec(3))
        for variable, held in zip(resumed.variables, state, strict=True):
            variable.assign(held)
        found = value(resumed.update(gram_of(self.rows[::-1])))
        np.testing.assert_array_equal(found, expected)


class TestProperties:
    @pytest.mark.slow
    def test_two_tasks_in_any_order(self):
        testing.check_aggregator(
            GradVac(),
            [testing.assert_permutation_equivariant],
            testing.jacobians((2,)),
        )

    def test_configuration(self):
        method = GradVac(0.25, "layer", seed=3, name="mine")
        config = keras.saving.serialize_keras_object(method)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == method.get_config()
        assert GradVac().beta == 0.01

    @pytest.mark.parametrize("beta", [-0.1, 1.1, np.nan, None, True, "0.5"])
    def test_bad_beta(self, beta):
        with pytest.raises(ValueError, match="`beta` must be a number from 0"):
            GradVac(beta=beta)

    def test_bad_seed(self):
        with pytest.raises(ValueError, match="`seed` must be an integer"):
            GradVac(seed=0.5)


def make_model(aggregator):
    inputs = keras.Input((3,))
    first = layers.Dense(4, "tanh", name="first")(inputs)
    shared = layers.Dense(2, "tanh", name="shared")(first)
    outputs = {name: layers.Dense(1, name=name)(shared) for name in "ab"}
    model = MultiTaskModel(inputs, outputs)
    loss = {"a": "mse", "b": "mse"}
    model.compile(keras.optimizers.SGD(0.1), loss, aggregator=aggregator)
    return model


class TestInAModel:
    @pytest.mark.slow
    def test_layers_have_targets_of_their_own(self, tmp_path):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(8, 3)).astype("float32")
        y = {name: rng.normal(size=(8, 1)).astype("float32") for name in "ab"}
        model = make_model(GradVac(beta=0.5, granularity="layer", seed=0))
        model.fit(x, y, batch_size=2, verbose=0)
        targets = value(model.aggregator.targets)
        # Heads are shared by nobody.
        assert targets.shape == (4, 2, 2)
        learnt = targets[:, 0, 1]
        assert (learnt != 0).sum() == 2 and len(set(learnt)) == 3
        np.testing.assert_allclose(learnt, targets[:, 1, 0], rtol=1e-4)
        assert not np.diagonal(targets, axis1=1, axis2=2).any()
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(value(loaded.aggregator.targets), targets)
        for net in (model, loaded):
            net.fit(x, y, batch_size=2, shuffle=False, verbose=0)
        for left, right in zip(model.get_weights(), loaded.get_weights()):
            np.testing.assert_allclose(left, right, atol=1e-6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
