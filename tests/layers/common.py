"""Models over layers that mix experts, as several of their tests need them."""

import keras
import numpy as np
from keras import layers

import keras_mtl
from tests.arrays import features

TASKS = ["left", "right"]
# XLA would take longer than all the steps.
QUICK = (
    {"jit_compile": False} if keras.backend.backend() == "tensorflow" else {}
)


def relu(units: int) -> layers.Dense:
    return layers.Dense(units, activation="relu")


def data(rows: int = 16) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Features `(rows, 5)`, and labels of which each takes one of them."""
    x = features(rows, 5)
    return x, {"left": x[:, :1] + 1, "right": x[:, 1:2] * 3 - 1}


def model_of(
    layer: keras.layers.Layer, width: int = 5, **arguments
) -> keras_mtl.MultiTaskModel:
    """Mixtures, and a linear head for each."""
    inputs = keras.Input((width,))
    outputs = {
        task: layers.Dense(1, name=task)(x) for task, x in layer(inputs).items()
    }
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.1),
        dict.fromkeys(TASKS, "mse"),
        **{**QUICK, **arguments},
    )
    return model
