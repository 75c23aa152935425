"""A step goes forward once, whatever number of tasks there are."""

import keras
import numpy as np
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries

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


class Pair(MultiTaskModel):
    def __init__(self):
        super().__init__()
        self.shared = keras.layers.Dense(2)
        self.heads = {n: keras.layers.Dense(1, name=n) for n in "ab"}

    def call(self, inputs):
        shared = self.shared(inputs)
        return {name: head(shared) for name, head in self.heads.items()}


@pytest.mark.filterwarnings("ignore:The model does not have any trainable")
@pytest.mark.parametrize(
    "method", [{"aggregator": "mgda"}, {"weighting": "dynamic_weight_average"}]
)
def test_nothing_to_train_in_the_first_batch(method):
    model = Pair()
    model.trainable = False
    model.compile("sgd", dict.fromkeys("ab", "mse"), **method)
    y = {name: Y[name] for name in "ab"}
    logs = model.fit(X, y, epochs=2, verbose=0).history
    first, second = logs["loss"]
    assert first > 0
    np.testing.assert_allclose(second, first, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable")
def test_frozen_auxiliaries_are_measured_all_the_same():
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(4, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    model = add_self_auxiliaries(MultiTaskModel(inputs, outputs), "shared")
    model.trainable = False
    model.auxiliaries.trainable = False
    model.compile("sgd", dict.fromkeys("ab", "mse"), aggregator="sum")
    y = {name: Y[name] for name in "ab"}
    logs = model.fit(X, y, verbose=0).history
    assert logs["a_aux_loss"][0] > 0 and logs["b_aux_loss"][0] > 0


class Squares(keras.layers.Dense):
    def call(self, inputs):
        outputs = super().call(inputs)
        self.add_loss(keras.ops.mean(outputs**2))
        return outputs


def summed(cls, middle, **arguments):
    """Weights and loss of a short training, the same for every class."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    shared = middle()(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    model = cls(inputs, outputs)
    model.compile("sgd", dict.fromkeys("ab", "mse"), **arguments)
    y = {name: Y[name] for name in "ab"}
    logs = model.fit(X, y, epochs=2, shuffle=False, verbose=0).history
    return model.get_weights(), logs["loss"]


def assert_as_stock(ours, stock):
    for one, other in zip(ours[0], stock[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[1], stock[1], rtol=1e-5)


def test_what_a_layer_assigns_to_its_kernel_is_as_in_stock_keras():
    def middle():
        return keras.layers.SpectralNormalization(keras.layers.Dense(4))

    stock = summed(keras.Model, middle)
    assert_as_stock(summed(MultiTaskModel, middle, aggregator="sum"), stock)


def test_a_loss_that_calls_the_model_first_is_as_in_stock_keras():
    def again(cls):
        class Again(cls):
            def compute_loss(self, x=None, *args, **kwargs):
                self(keras.ops.zeros_like(x))
                return super().compute_loss(x, *args, **kwargs)

        return Again

    def middle():
        return Squares(2)

    stock = summed(again(keras.Model), middle)
    ours = summed(again(MultiTaskModel), middle, aggregator="sum")
    assert_as_stock(ours, stock)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
