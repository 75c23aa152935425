"""A step goes forward once, whatever number of tasks there are."""

import keras
import numpy as np
import pytest

from keras_mtl import MultiTaskModel

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = {"a": X[:, :1], "b": X[:, 1:2], "c": X[:, 2:]}


class Counting(keras.layers.Dense):
    """Counts how often it is called with numbers."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return super().call(inputs)


def make_model(**arguments):
    inputs = keras.Input((3,))
    layer = Counting(4, activation="tanh", name="shared")
    shared = layer(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in Y}
    model = MultiTaskModel(inputs, outputs)
    losses = dict.fromkeys(Y, "mse")
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer, losses, run_eagerly=True, **arguments)
    return model, layer


@pytest.mark.parametrize(
    ("arguments", "forward_passes"),
    [
        ({"aggregator": "pcgrad"}, 1),
        ({"weighting": "grad_norm"}, 1),
        # FAMO looks at the losses after the step.
        ({"weighting": "famo"}, 2),
    ],
)
def test_passes(arguments, forward_passes):
    model, layer = make_model(**arguments)
    model.train_on_batch(X, Y)
    layer.calls = 0
    model.train_on_batch(X, Y)
    assert layer.calls == forward_passes


def test_the_logs_are_those_of_the_losses_before_the_step():
    model, _ = make_model(aggregator="mgda")
    expected = model.evaluate(X, Y, verbose=0, return_dict=True)
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert set(logs) == {*expected, "gradient_conflict"}
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-5)
    after = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert after["loss"] < expected["loss"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
