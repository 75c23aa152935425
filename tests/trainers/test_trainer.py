"""`fit` and its like have Keras' signatures, and log what they should."""

import inspect
import warnings

import keras
import numpy as np
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries

pytestmark = pytest.mark.backend

X = np.ones((4, 2), "float32")
Y = {"a": np.ones((4, 1)), "b": np.zeros((4, 1))}


def make_model():
    inputs = keras.Input((2,))
    shared = keras.layers.Dense(3, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    return add_self_auxiliaries(model, "shared")


@pytest.mark.parametrize(
    "method",
    ["fit", "evaluate", "predict", "train_on_batch", "test_on_batch"],
)
def test_signatures(method):
    ours, stock = getattr(MultiTaskModel, method), getattr(keras.Model, method)
    assert inspect.signature(ours) == inspect.signature(stock)


def test_training_logs_what_evaluation_does_not():
    model = make_model()
    model.compile("sgd", {"a": "mse", "b": "mse"}, aggregator="pcgrad")
    logs = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    own = {"gradient_conflict", "a_aux_loss", "b_aux_loss"}
    losses = {"loss", "a_loss", "b_loss"}
    assert set(logs) == own | losses | {f"val_{name}" for name in losses}
    evaluated = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert set(evaluated) == losses
    tested = model.test_on_batch(X, Y, return_dict=True)
    assert set(tested) == losses


def test_nothing_to_train_is_no_error():
    model = make_model()
    model.trainable = False
    model.auxiliaries.trainable = False
    model.compile("sgd", {"a": "mse", "b": "mse"}, aggregator="pcgrad")
    before = model.get_weights()
    with warnings.catch_warnings():
        # TensorFlow and PyTorch say so.
        warnings.simplefilter("ignore", UserWarning)
        model.fit(X, Y, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
