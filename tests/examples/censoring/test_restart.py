"""A compiled model, started anew, trains as a new one would."""

import keras
import numpy as np
import pytest

import keras_mtl
from examples.censoring.restart import Restart
from examples.censoring.restart import SameRandomNumbers

X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
Y = {"a": X[:, :1] ** 2, "b": X[:, 1:2]}


def make_network():
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh")(inputs)
    outputs = {name: keras.layers.Dense(1)(hidden) for name in "ab"}
    return keras_mtl.MultiTaskModel(inputs, outputs)


def make_model():
    model = make_network()
    rule = keras_mtl.aggregators.Projection("a", smoothing=0.1)
    model.compile(
        keras.optimizers.Adam(0.1),
        loss={"a": "mse", "b": "mse"},
        aggregator=rule,
        jit_compile=False,
    )
    return model


def fit(model):
    model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
def test_starts_as_a_new_model():
    initial = make_network().get_weights()
    restart = Restart(make_model())
    weights = restart.model.get_weights()
    initial = [*initial, *weights[len(initial) :]]
    runs = []
    for _ in range(2):
        restart(initial, restart.model)
        runs.append(fit(restart.model))
    fresh = make_model()
    fresh.set_weights(initial)
    for first, second, expected in zip(*runs, fit(fresh)):
        np.testing.assert_allclose(first, second, atol=1e-6)
        np.testing.assert_allclose(first, expected, atol=1e-6)


def test_a_first_fit_shuffles_as_later_ones_do():
    restart = Restart(make_model())
    weights = restart.model.get_weights()
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        restart(weights, restart.model)
        restart.model.fit(
            X,
            Y,
            batch_size=2,
            callbacks=[SameRandomNumbers()],
            verbose=0,
        )
        runs.append(restart.model.get_weights())
    for first, second in zip(*runs):
        np.testing.assert_allclose(first, second, atol=1e-6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
