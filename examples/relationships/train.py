"""Trains layers that learn how planted tasks are related."""

from typing import NamedTuple

import keras
import numpy as np

import keras_mtl

# What is planted: each task against the first.
TASKS = ("first", "alike", "opposed", "unrelated")
NUM_FEATURES = 30
NUM_OUTPUTS = 5
NUM_TEST = 2000
# Standard deviation of what is added to the targets, whose own is 1.
NOISE = 1.0
# Of the prior over kernels. Of 0.02, 0.05 and 0.2 it is the best without
# learned covariances, and with them.
STRENGTH = 0.05
# Of what is not the same in two tasks that are alike.
DIFFERENCE = 0.3

Examples = tuple[np.ndarray, dict[str, np.ndarray]]


class Run(NamedTuple):
    """A trained model, and what it reached.

    Attributes:
        model: Has the layer to look at, which is called as the model is.
        test_loss: By task, mean squared error over the variance.
    """

    model: keras.Model
    test_loss: dict[str, float]


def make_data(num_examples: int, seed: int) -> tuple[Examples, Examples]:
    """Linear tasks that are alike, opposed and unrelated, with noise.

    Returns:
        Training and test examples; the latter without noise.
    """
    rng = np.random.default_rng(seed)
    shape = (NUM_FEATURES, NUM_OUTPUTS)
    first, other = rng.normal(size=(2, *shape)) / np.sqrt(NUM_FEATURES)
    apart = DIFFERENCE * rng.normal(size=(2, *shape)) / np.sqrt(NUM_FEATURES)
    kernels = {
        "first": first,
        "alike": first + apart[0],
        "opposed": -first + apart[1],
        "unrelated": other,
    }

    def draw(count: int, noise: float) -> Examples:
        x = rng.normal(size=(count, NUM_FEATURES))
        y = {
            task: x @ kernel + noise * rng.normal(size=(count, NUM_OUTPUTS))
            for task, kernel in kernels.items()
        }
        return x.astype("float32"), {
            t: v.astype("float32") for t, v in y.items()
        }

    return draw(num_examples, NOISE), draw(NUM_TEST, 0.0)


def independent(training: Examples, epochs: int) -> keras.Model:
    """A dense layer for each task; nothing is shared."""
    inputs = keras.Input((NUM_FEATURES,))
    model = keras_mtl.MultiTaskModel(inputs, _networks()(inputs))
    return _fit(model, training, epochs)


def relationship(training: Examples, epochs: int) -> keras.Model:
    """One prior over the kernels of all tasks, with learned covariances."""
    inputs = keras.Input((NUM_FEATURES,))
    layer = keras_mtl.layers.MultilinearRelationship(
        NUM_OUTPUTS,
        TASKS,
        strength=STRENGTH,
        update_every=20,
        name="relationship",
    )
    return _fit(
        keras_mtl.MultiTaskModel(inputs, layer(inputs)), training, epochs
    )


def stitch(training: Examples, epochs: int) -> keras.Model:
    """Dense layers trained one by one, then shares of what the others say.

    Stitches that learned on the examples of the layers would find each to be
    the best for its own task, noise and all. So half of them is kept for the
    stitches, and the layers stay as they are meanwhile.
    """
    half = len(training[0]) // 2
    inputs = keras.Input((NUM_FEATURES,))
    networks = _networks()
    outputs = networks(inputs)
    alone = keras_mtl.MultiTaskModel(inputs, outputs)
    _fit(alone, _rows(training, slice(None, half)), epochs)
    networks.trainable = False
    stitches = keras_mtl.layers.CrossStitch(name="stitch")
    model = keras_mtl.MultiTaskModel(inputs, stitches(outputs))
    return _fit(model, _rows(training, slice(half, None)), epochs)


MODELS = {
    "independent": independent,
    "relationship": relationship,
    "stitch": stitch,
}


def train(num_examples: int, epochs: int, seed: int) -> dict[str, Run]:
    """Trains every model from the same seed on the same data.

    Args:
        num_examples: Training examples; few leave room for other tasks' help.
        epochs: Passes over them.
        seed: Of data, initial weights and batches.
    """
    training, test = make_data(num_examples, seed)
    runs = {}
    for name, make in MODELS.items():
        keras.utils.set_random_seed(seed)
        model = make(training, epochs)
        runs[name] = Run(model, _relative_errors(model, test))
    return runs


def _networks() -> keras_mtl.layers.PerTask:
    # The prior that knows no relationships.
    penalty = keras.regularizers.L2(STRENGTH / 2)
    return keras_mtl.layers.PerTask(
        keras.layers.Dense(NUM_OUTPUTS, kernel_regularizer=penalty), TASKS
    )


def _fit(model: keras.Model, training: Examples, epochs: int) -> keras.Model:
    model.compile(keras.optimizers.Adam(0.005), "mse", jit_compile=True)
    model.fit(*training, batch_size=32, epochs=epochs, verbose=0)
    return model


def _rows(examples: Examples, rows: slice) -> Examples:
    x, y = examples
    return x[rows], {task: values[rows] for task, values in y.items()}


def _relative_errors(model: keras.Model, test: Examples) -> dict[str, float]:
    x, y = test
    outputs = model.predict(x, batch_size=len(x), verbose=0)
    return {
        task: float(np.mean((outputs[task] - y[task]) ** 2) / np.var(y[task]))
        for task in TASKS
    }
