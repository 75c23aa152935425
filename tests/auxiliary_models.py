"""A model with two tasks for tests of auxiliaries, and data for it."""

import keras
import numpy as np
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.auxiliaries.self_auxiliaries import add_self_auxiliaries

CROSS_ENTROPY = "sparse_categorical_crossentropy"
LOSS = {"left": CROSS_ENTROPY, "right": "mse"}
EXAMPLES = 48
# For small models the faster way on each backend.
EAGERLY = keras.backend.backend() == "tensorflow"


def make_model(dropout: float = 0.0, width: int = 50) -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dense(width, activation="relu", name="shared")(inputs)
    hidden = layers.Dropout(dropout, seed=1)(hidden)
    left = layers.Dense(8, activation="relu", name="left_hidden")(hidden)
    left = layers.Dense(10, activation="softmax", name="left")(left)
    right = layers.Dense(1, name="right")(hidden)
    return keras.Model(inputs, {"left": left, "right": right}, name="net")


def make_data(shape: tuple = (12,)) -> tuple:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(EXAMPLES, *shape)).astype("float32")
    left = generator.integers(0, 10, EXAMPLES)
    right = generator.normal(size=(EXAMPLES, 1)).astype("float32")
    return x, {"left": left, "right": right}


def fresh(weight: float | None, **arguments) -> keras.Model:
    """The same start each time; with no auxiliaries where weight is None."""
    keras.utils.set_random_seed(0)
    model = make_model(**arguments.pop("model", {}))
    if weight is None:
        return MultiTaskModel(model.input, model.output)
    return add_self_auxiliaries(model, "shared", weight=weight, **arguments)
