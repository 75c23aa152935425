"""Tests of GradDrop."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import testing
from keras_mtl.aggregators.grad_drop import GradDrop
from keras_mtl.methods import StepInfo
from keras_mtl.solvers.random_numbers import random_uniforms

# A few small steps are faster without a graph on TensorFlow.
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
QUICK = {"run_eagerly": True} if ON_TENSORFLOW else {}
BASE = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
ROWS = np.random.default_rng(0).standard_normal((5, 40)).astype("float32")


def draws_of(aggregator, rows, count):
    run = testing.compiled(aggregator, aggregator.variables)
    return np.stack([ops.convert_to_numpy(run(rows)) for _ in range(count)])


def reference_update(rows, uniforms, leaks, keep=lambda purity: purity):
    """GradDrop as its paper writes it, entry by entry, in float64."""
    update = np.zeros(rows.shape[1])
    for n, column in enumerate(rows.astype("float64").T):
        size = np.abs(column).sum()
        purity = keep(0.5 * (1 + column.sum() / size) if size else 0.5)
        for entry, leak in zip(column, leaks, strict=True):
            mask = (purity > uniforms[n]) * (entry > 0)
            mask += (purity < uniforms[n]) * (entry < 0)
            update[n] += (leak + (1 - leak) * mask) * entry
    return update


class TestCombine:
    def test_two_tasks(self):
        draws = draws_of(GradDrop(seed=0), BASE, 400)
        np.testing.assert_array_equal(draws[:, 1:], np.full((400, 2), 2))
        assert set(draws[:, 0]) == {-4, 6}
        # P = 0.6: four standard deviations.
        share = (draws[:, 0] == 6).mean()
        assert abs(share - 0.6) < 4 * (0.6 * 0.4 / 400) ** 0.5

    @pytest.mark.parametrize("leak", [None, 0.3, [0.0, 0.25, 0.5, 0.75, 1.0]])
    def test_against_entries(self, leak):
        aggregator = GradDrop(leak, seed=5)
        leaks = np.broadcast_to(0.0 if leak is None else leak, 5)
        for step in range(3):
            uniforms = random_uniforms(np.array([5, step]), 40)
            uniforms = ops.convert_to_numpy(uniforms)
            expected = reference_update(ROWS, uniforms, leaks)
            update = ops.convert_to_numpy(aggregator(ROWS))
            np.testing.assert_allclose(update, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(
        "function, scale, keep",
        [
            ("linear", 3.0, lambda p: 3 * (p - 0.5) + 0.5),
            ("sigmoid", 1.0, lambda p: 1 / (1 + np.exp(-4 * (p - 0.5)))),
            ("sigmoid", 2.5, lambda p: 1 / (1 + np.exp(-10 * (p - 0.5)))),
        ],
    )
    def test_functions_of_the_authors_layer(self, function, scale, keep):
        aggregator = GradDrop(
            seed=5,
            keep_prob_function=function,
            keep_prob_function_scale=scale,
            keep_gradnorm_constant=True,
        )
        uniforms = random_uniforms(np.array([5, 0]), 40)
        uniforms = ops.convert_to_numpy(uniforms)
        kept = reference_update(ROWS, uniforms, np.zeros(5), keep)
        total = ROWS.astype("float64").sum(axis=0)
        expected = kept * np.linalg.norm(total) / np.linalg.norm(kept)
        update = ops.convert_to_numpy(aggregator(ROWS))
        np.testing.assert_allclose(update, expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("size", [1e-30, 1e30])
    def test_the_norm_is_kept_at_any_scale(self, size):
        aggregator = GradDrop(seed=5, keep_gradnorm_constant=True)
        rows = (ROWS * size).astype("float32")
        update = ops.convert_to_numpy(aggregator(rows)) / size
        expected = np.linalg.norm(ROWS.astype("float64").sum(axis=0))
        np.testing.assert_allclose(np.linalg.norm(update), expected, rtol=1e-5)

    def test_no_gradient_has_no_norm_to_keep(self):
        aggregator = GradDrop(seed=5, keep_gradnorm_constant=True)
        zeros = np.zeros((2, 3), "float32")
        np.testing.assert_array_equal(aggregator(zeros), np.zeros(3))

    def test_config_of_the_authors_layer(self):
        made = GradDrop(
            keep_prob_function="sigmoid",
            keep_prob_function_scale=2,
            keep_gradnorm_constant=True,
        )
        config = made.get_config()
        assert GradDrop.from_config(config).get_config() == config
        with pytest.raises(ValueError, match="`keep_prob_function` must be"):
            GradDrop(keep_prob_function="cubic")

    @pytest.mark.slow
    def test_mean_of_many_draws(self):
        draws = draws_of(GradDrop(seed=1), ROWS, 600)
        positive = np.maximum(ROWS, 0).sum(axis=0)
        negative = np.minimum(ROWS, 0).sum(axis=0)
        purity = positive / (positive - negative)
        expected = purity * positive + (1 - purity) * negative
        spread = (positive - negative) * (purity * (1 - purity) / 600) ** 0.5
        assert (
            np.abs(draws.mean(axis=0) - expected) <= 5 * spread + 1e-5
        ).all()

    def test_coordinates_are_drawn_independently(self):
        rows = np.stack([np.ones(500), -np.ones(500)]).astype("float32")
        first, second = draws_of(GradDrop(seed=0), rows, 2)
        assert set(first) == {-1, 1}
        assert abs(first.mean()) < 4 / 500**0.5
        assert abs((first[1:] * first[:-1]).mean()) < 4 / 500**0.5
        assert abs((first * second).mean()) < 4 / 500**0.5

    def test_full_leak_is_the_sum(self):
        update = ops.convert_to_numpy(GradDrop(1.0)(ROWS))
        np.testing.assert_allclose(update, ROWS.sum(axis=0), rtol=1e-5)

    def test_agreeing_is_the_sum(self):
        rows = ROWS * np.sign(ROWS) * np.sign(ROWS[:1])
        update = ops.convert_to_numpy(GradDrop()(rows))
        np.testing.assert_allclose(update, rows.sum(axis=0), rtol=1e-5)

    def test_leaks_of_some_tasks(self):
        aggregator = GradDrop([0.0, 0.5, 1.0], seed=0)
        rows = np.array([[-1.0], [2.0]], "float32")
        step = StepInfo(tasks=(0, 2))
        update = ops.convert_to_numpy(aggregator.combine(rows, step))
        # Either sign is drawn; task 2 leaks all the same.
        assert update[0] in (1.0, 2.0)
        aggregator = GradDrop([1.0, 0.5, 1.0], seed=0)
        update = ops.convert_to_numpy(aggregator.combine(rows, step))
        assert update[0] == 1.0

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite_stays_so(self, value):
        rows = BASE.copy()
        rows[0, 0] = value
        for _ in range(4):
            update = ops.convert_to_numpy(GradDrop()(rows))
            assert not np.isfinite(update[0])
            np.testing.assert_array_equal(update[1:], [2, 2])


class TestRandomness:
    def test_seed_decides_the_sequence(self):
        left = draws_of(GradDrop(seed=3), ROWS, 3)
        right = draws_of(GradDrop(seed=3), ROWS, 3)
        other = draws_of(GradDrop(seed=4), ROWS, 3)
        np.testing.assert_array_equal(left, right)
        assert (left[0] != left[1]).any() and (left != other).any()

    def test_golden(self):
        # What seed 3 keeps of gradients of equal length, on every backend.
        rows = np.stack([np.ones(12), -np.ones(12)]).astype("float32")
        signs = [
            "".join("-+"[int(s > 0)] for s in draw)
            for draw in draws_of(GradDrop(seed=3), rows, 2)
        ]
        assert signs == ["+++-+++----+", "--+-+++-+-++"]

    def test_state_resumes_the_sequence(self):
        aggregator = GradDrop()
        draws_of(aggregator, ROWS, 2)
        state = [ops.convert_to_numpy(v) for v in aggregator.variables]
        expected = draws_of(aggregator, ROWS, 2)
        resumed = GradDrop()
        for variable, value in zip(resumed.variables, state, strict=True):
            variable.assign(value)
        np.testing.assert_array_equal(draws_of(resumed, ROWS, 2), expected)


class TestProperties:
    checks = [*testing.UNIVERSAL, testing.assert_permutation_equivariant]


class TestArguments:
    @pytest.mark.parametrize("leak", [None, 0.25, [0.0, 1.0], (0.5, 0.5)])
    def test_configuration(self, leak):
        method = GradDrop(leak, seed=3, name="mine")
        config = keras.saving.serialize_keras_object(method)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == method.get_config()
        assert "granularity" not in config["config"]

    @pytest.mark.parametrize(
        "leak", [-0.1, 1.1, np.nan, [], [0.5, 2.0], [[0.5]], "a", [None]]
    )
    def test_bad_leak(self, leak):
        with pytest.raises(ValueError, match="`leak` must be a number from 0"):
            GradDrop(leak)

    def test_wrong_number_of_leaks(self):
        method = GradDrop([0.1, 0.2])
        with pytest.raises(ValueError, match="`leak`.*'a', 'b', 'c'"):
            method.build("abc")
        with pytest.raises(ValueError, match="`leak` .* 5 tasks"):
            method(ROWS)

    def test_bad_seed(self):
        with pytest.raises(ValueError, match="`seed` must be an integer"):
            GradDrop(seed="a")


def make_model(aggregator, learning_rate=1.0, **arguments):
    inputs = keras.Input((3,))
    first = layers.Dense(4, use_bias=False, name="first")(inputs)
    shared = layers.Dense(2, use_bias=False, name="shared")(first)
    outputs = {
        name: layers.Dense(1, use_bias=False, name=name)(shared)
        for name in "ab"
    }
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(learning_rate),
        {"a": "mse", "b": "mse"},
        aggregator=aggregator,
        **arguments,
    )
    return model


def make_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3)).astype("float32")
    y = {name: rng.normal(size=(4, 1)).astype("float32") for name in "ab"}
    return x, y


class TestInAModel:
    @pytest.mark.slow
    def test_every_coordinate_has_one_sign(self):
        model = make_model(GradDrop(seed=0))
        x, y = make_data()
        names = ("first", "shared", "a", "b")
        first, shared, *heads = (
            model.get_layer(name).get_weights()[0] for name in names
        )
        task_gradients = []
        for name, head in zip("ab", heads, strict=True):
            slope = x @ first @ shared @ head - y[name]
            slope = 2 / 4 * slope @ head.T
            gradients = (x.T @ slope @ shared.T, (x @ first).T @ slope)
            task_gradients.append(gradients)
        model.fit(x, y, batch_size=4, verbose=0)
        draws = []
        for before, layer, a, b in zip(
            (first, shared), names[:2], *task_gradients, strict=True
        ):
            update = before - model.get_layer(layer).get_weights()[0]
            kept = [np.maximum(a, 0) + np.maximum(b, 0)]
            kept.append(np.minimum(a, 0) + np.minimum(b, 0))
            gaps = np.abs(np.stack(kept) - update).min(axis=0)
            np.testing.assert_allclose(gaps, 0, atol=1e-5)
            draws.append(update)
        # A draw for each variable.
        state = ops.convert_to_numpy(model.aggregator.variables[0])
        assert state.tolist() == [0, 2]

    @pytest.mark.slow
    def test_saved_and_resumed(self, tmp_path):
        model = make_model(GradDrop(0.2, seed=0), 0.01, **QUICK)
        data = make_data()
        model.fit(*data, batch_size=2, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert loaded.aggregator.get_config() == model.aggregator.get_config()
        for net in (model, loaded):
            net.fit(*data, batch_size=2, shuffle=False, verbose=0)
        for left, right in zip(
            model.get_weights(), loaded.get_weights(), strict=True
        ):
            np.testing.assert_allclose(left, right, atol=1e-6)

    @pytest.mark.slow
    def test_at_a_representation(self):
        model = make_model(
            GradDrop(seed=0), 0.01, representation="shared", jit_compile=False
        )
        # The last batch is a smaller one.
        history = model.fit(*make_data(), batch_size=3, verbose=0)
        assert np.isfinite(history.history["loss"]).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
