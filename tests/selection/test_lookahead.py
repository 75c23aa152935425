import keras
import numpy as np
import pytest

import keras_mtl
from keras_mtl.selection.lookahead import Lookahead

pytestmark = pytest.mark.backend

NAN = float("nan")
RATE = 0.1
X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = {
    "a": X[:, :1] - X[:, 1:2],
    "b": 2 * X[:, 1:2],
    "c": X[:, 2:],
}


def linear_model(**kwargs):
    """Tasks a and b share a layer; c has one of its own."""
    inputs = keras.Input((3,))
    dense = keras.layers.Dense
    shared = dense(2, use_bias=False, name="shared")(inputs)
    own = dense(2, use_bias=False, name="own")(inputs)
    sources = {"a": shared, "b": shared, "c": own}
    outputs = {
        task: dense(1, use_bias=False, name=task)(source)
        for task, source in sources.items()
    }
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    model.compile("sgd", loss={task: "mse" for task in Y}, **kwargs)
    return model


def deep_model(**kwargs):
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, activation="relu")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5, seed=1)(x)
    outputs = {task: keras.layers.Dense(1, name=task)(x) for task in Y}
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    kwargs = {"optimizer": "adam", **kwargs}
    model.compile(loss={task: "mse" for task in Y}, **kwargs)
    return model


def tensors(batch):
    return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def look(model, batch=(X, Y), rate=RATE):
    return Lookahead(model)(tensors(batch), rate)


def expected(model, weights=(1, 1, 1), y=Y, sample_weight=None):
    """Losses before and after, by hand in float64, of `linear_model`."""
    trunks = {
        task: model.get_layer(layer).kernel.numpy().astype("float64")
        for task, layer in {"a": "shared", "b": "shared", "c": "own"}.items()
    }
    heads = {t: model.get_layer(t).kernel.numpy().astype("float64") for t in Y}
    examples = {t: ~np.isnan(y[t][:, 0]) for t in Y}
    ones = np.ones(len(X))
    scale = {t: ones if sample_weight is None else sample_weight[t] for t in Y}

    def loss(task, trunk):
        rows = examples[task]
        error = X[rows] @ trunk @ heads[task] - y[task][rows]
        return np.mean(scale[task][rows] * error[:, 0] ** 2)

    def gradient(task, trunk):
        rows = examples[task]
        error = X[rows] @ trunk @ heads[task] - y[task][rows]
        error = 2 * scale[task][rows][:, None] * error / rows.sum()
        return X[rows].T @ error @ heads[task].T

    before = [loss(t, trunks[t]) for t in Y]
    after = np.tile(before, (3, 1))
    # What task "c" trains is its own, so no look goes there.
    for i, (task, weight) in enumerate(zip("ab", weights, strict=False)):
        moved = trunks["a"] - RATE * weight * gradient(task, trunks["a"])
        for j, other in enumerate("ab"):
            after[i, j] = loss(other, moved)
    return before, after


class TestLosses:
    @pytest.mark.parametrize("aggregator", [None, "sum"])
    @pytest.mark.parametrize("run_eagerly", [False, True])
    def test_only_shared_variables_take_the_step(self, aggregator, run_eagerly):
        """Task c shares nothing, so no step is taken on it, nor seen by it."""
        model = linear_model(aggregator=aggregator, run_eagerly=run_eagerly)
        before, after = look(model)
        np.testing.assert_allclose(before, expected(model)[0], rtol=1e-5)
        np.testing.assert_allclose(after, expected(model)[1], rtol=1e-5)
        assert np.abs(after[:2, :2] - before[:2]).min() > 1e-3

    @pytest.mark.slow
    def test_loss_weights_scale_the_steps(self):
        model = linear_model(loss_weights={"a": 0.5, "b": 3.0, "c": 1.0})
        before, after = look(model)
        wanted = expected(model, (0.5, 3.0))
        np.testing.assert_allclose(before, wanted[0], rtol=1e-5)
        np.testing.assert_allclose(after, wanted[1], rtol=1e-5)

    @pytest.mark.slow
    def test_missing_labels(self):
        y = {task: labels.copy() for task, labels in Y.items()}
        y["a"][2:] = NAN
        model = linear_model(missing_label=NAN)
        before, after = look(model, (X, y))
        np.testing.assert_allclose(after, expected(model, y=y)[1], rtol=1e-5)

    @pytest.mark.slow
    def test_sample_weights(self):
        random = np.random.default_rng(2)
        weight = {t: random.uniform(size=6).astype("float32") for t in Y}
        model = linear_model()
        _, after = look(model, (X, Y, weight))
        wanted = expected(model, sample_weight=weight)[1]
        np.testing.assert_allclose(after, wanted, rtol=1e-5)

    @pytest.mark.slow
    def test_with_xla(self):
        model = linear_model(jit_compile=True)
        np.testing.assert_allclose(
            look(model)[1], expected(model)[1], rtol=1e-5
        )


class TestState:
    @pytest.mark.slow
    def test_nothing_of_it_remains(self):
        """Not in weights, moving averages, seeds, optimizer and metrics."""
        model = deep_model(aggregator="pcgrad")
        model.fit(X, Y, batch_size=3, epochs=2, verbose=0)

        def values():
            variables = (
                model.variables
                + model.optimizer.variables
                + model.metrics_variables
            )
            return {v.path: v.numpy().copy() for v in variables}

        before = values()
        assert any("moving_mean" in path for path in before)
        assert any("seed" in path for path in before)
        look(model)
        after = values()
        assert before.keys() == after.keys()
        for path, value in before.items():
            np.testing.assert_array_equal(value, after[path], err_msg=path)

    @pytest.mark.slow
    def test_training_goes_on_as_if_nobody_had_looked(self):
        weights = []
        for looks in (False, True):
            keras.utils.set_random_seed(0)
            model = deep_model()
            model.fit(X, Y, batch_size=3, shuffle=False, verbose=0)
            if looks:
                look(model)
            model.fit(X, Y, batch_size=3, shuffle=False, verbose=0)
            weights.append(model.get_weights())
        for left, right in zip(*weights, strict=True):
            np.testing.assert_array_equal(left, right)

    @pytest.mark.slow
    def test_dropout_drops_alike_before_and_after(self):
        model = deep_model()
        before, after = look(model, rate=0.0)
        np.testing.assert_array_equal(after, np.tile(before, (3, 1)))

    @pytest.mark.slow
    def test_follows_the_weights(self):
        model = linear_model()
        lookahead = Lookahead(model)
        first = lookahead(tensors((X, Y)), RATE)[0]
        model.get_layer("a").kernel.assign([[0.0], [0.0]])
        second = lookahead(tensors((X, Y)), RATE)[0]
        np.testing.assert_allclose(second[0], np.mean(Y["a"] ** 2), rtol=1e-5)
        assert first[0] != second[0]


@pytest.mark.slow
def test_half_precision_does_not_lose_the_gradients():
    keras.config.set_dtype_policy("mixed_float16")
    model = linear_model()
    model.fit(X, Y, verbose=0)
    # So small are the gradients that halves without a scale would hold zeros.
    weights = {"a": np.full(6, 1e-6, "float32")}
    weights.update(b=weights["a"], c=weights["a"])
    before, after = look(model, (X, Y, weights), rate=1e5)
    relative = (after - before) / before
    assert np.abs(relative[:2, :2]).min() > 1e-3
    assert np.all(np.isfinite(relative))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
