"""Errors in the losses of single tasks say of which task they are."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.trainers.task_errors import naming_task

pytestmark = pytest.mark.backend

X = np.ones((8, 4), "float32")
Y = {"a": np.arange(8) % 3, "b": np.ones((8, 1), "float32")}


def compiled(eager: bool = False, **arguments) -> MultiTaskModel:
    inputs = keras.Input((4,))
    shared = layers.Dense(3)(inputs)
    outputs = {
        "a": layers.Dense(3, name="a")(shared),
        "b": layers.Dense(1, name="b")(shared),
    }
    model = MultiTaskModel(inputs, outputs)
    ones = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = {"a": ones, "b": "mse"}
    model.compile("sgd", loss, run_eagerly=eager, **arguments)
    return model


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("methods", [{}, {"aggregator": "sum"}], ids=str)
def test_labels_of_another_shape(methods, eager):
    y = {**Y, "a": np.ones((8, 5))}
    with pytest.raises(ValueError) as caught:
        compiled(eager, **methods).train_on_batch(X, y)
    message = str(caught.value)
    for part in (
        "The loss of task 'a'",
        "labels of shape (8, 5), predictions of shape (8, 3) and no sample",
        # What Keras says, on either backend.
        "target.shape=(8, 5), output.shape=(8, 3)",
    ):
        assert part in message


@pytest.mark.parametrize("eager", [True, False])
def test_sample_weights_of_another_shape(eager):
    weights = {"b": np.ones((8, 5))}
    pattern = r"loss of task 'b'.*\(8, 1\).*sample weights of shape \(8, 5\)"
    with pytest.raises(ValueError, match=pattern):
        compiled(eager, aggregator="sum").train_on_batch(
            X, Y, sample_weight=weights
        )


class OwnError(ValueError):
    pass


@pytest.mark.parametrize(
    "error", [OwnError("mine"), KeyError("a"), ValueError("of task 'a'")]
)
def test_what_says_more_passes(error):
    with pytest.raises(type(error)) as caught, naming_task("a", X, X, None):
        raise error
    assert caught.value is error


def test_structures_of_several_outputs():
    with pytest.raises(TypeError, match=r"labels of shape \{'b': '\(8, 1\)'"):
        with naming_task("a", {"b": Y["b"]}, {"b": Y["b"]}, None):
            raise TypeError("why")


class InvalidArgumentError(Exception):
    """As TensorFlow calls its own."""


def test_in_a_stock_model_types_stay():
    with pytest.raises(InvalidArgumentError, match="^why"):
        with naming_task("a", X, X, None, as_stock=True):
            raise InvalidArgumentError("why")
    with pytest.raises(ValueError, match="task 'a'.*: why"):
        with naming_task("a", X, X, None):
            raise InvalidArgumentError("why")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
