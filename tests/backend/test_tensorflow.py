"""Task gradients on TensorFlow against a plain tape a task."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.aggregators import Aggregator
from keras_mtl.model import MultiTaskModel

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow",
        reason="the training step of TensorFlow",
    ),
]

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = {"a": X[:, :1] ** 2, "b": -X[:, :1]}


class Keep(Aggregator):
    """Weighs the tasks 3 to 1 and remembers the Gram."""

    def weights(self, gram):
        return tf.broadcast_to([3.0, 1.0], tf.shape(gram)[:-1])


def make_model(**kwargs):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(5, activation="tanh", name="h")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(hidden) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(1.0),
        loss={"a": "mse", "b": "mse"},
        aggregator=Keep(),
        **kwargs,
    )
    return model


def reference(model):
    """The gradient of every task by a tape of its own."""
    variables = model.trainable_variables
    rows = []
    for name in "ab":
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(X)[name] - Y[name]) ** 2)
        rows.append(tape.gradient(loss, variables))
    return variables, rows


@pytest.mark.parametrize("representation", [None, "h"])
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_shared_variables_get_the_combination_and_heads_their_own(
    representation, run_eagerly
):
    model = make_model(representation=representation, run_eagerly=run_eagerly)
    variables, (first, second) = reference(model)
    before = [v.numpy() for v in variables]
    model.train_on_batch(X, Y)
    for v, old, a, b in zip(variables, before, first, second):
        if a is not None and b is not None:
            expected = 3 * a + b
        else:
            expected = b if a is None else a
        np.testing.assert_allclose(old - v.numpy(), expected, atol=1e-5)


def test_the_gram_at_the_representation_is_of_the_whole_tensor():
    model = make_model(representation="h")
    layer = model.get_layer("h")
    rows = []
    for name in "ab":
        with tf.GradientTape() as tape:
            hidden = layer(X)
            tape.watch(hidden)
            prediction = model.get_layer(name)(hidden)
            loss = tf.reduce_mean((prediction - Y[name]) ** 2)
        rows.append(tf.reshape(tape.gradient(loss, hidden), [-1]).numpy())
    rows = np.stack(rows)
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(
        model.gradient_conflict.gram, rows @ rows.T, rtol=1e-4
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
