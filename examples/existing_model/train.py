"""A stock Keras model from a file, and the three lines that improve it."""

import os
import pathlib
from typing import Any

import keras
import numpy as np

import keras_mtl
from keras_mtl.datasets import synthetic_sine

Examples = tuple[np.ndarray, dict[str, np.ndarray]]
BATCH_SIZE = 128


def make_data(num_examples: int, seed: int = 0) -> dict[str, Examples]:
    """Draws data with a label to predict as a number and one as a class.

    Args:
        num_examples: int, training examples. As many are drawn for test.
        seed: int.

    Returns:
        A dict with `"train"` and `"test"`; labels are `"amount"`, scaled to a
        variance of 1, and `"risky"`, zero or one.
    """
    x, y = synthetic_sine(
        2 * num_examples, seed=seed, num_features=10, frequency_scale=0.3
    )
    labels = {
        "amount": y["y1"] / y["y1"].std(),
        "risky": (y["y2"] > 0).astype("float32"),
    }
    halves = {"train": slice(num_examples), "test": slice(num_examples, None)}
    return {
        part: (x[rows], {task: label[rows] for task, label in labels.items()})
        for part, rows in halves.items()
    }


def make_stock_model(path: str | os.PathLike, seed: int = 0) -> None:
    """Saves the model that somebody already has: nothing here is keras_mtl."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((10,), name="features")
    x = keras.layers.Dense(250, activation="relu")(inputs)
    x = keras.layers.Dense(125, activation="relu", name="shared")(x)
    amount = keras.layers.Dense(100, activation="relu")(x)
    amount = keras.layers.Dense(1, name="amount")(amount)
    risky = keras.layers.Dense(100, activation="relu")(x)
    risky = keras.layers.Dense(1, activation="sigmoid", name="risky")(risky)
    model = keras.Model(inputs, {"amount": amount, "risky": risky})
    model.save(path)


def train_stock(
    path: str | os.PathLike,
    data: dict[str, Examples],
    epochs: int,
    seed: int = 0,
    verbose: int | str = "auto",
) -> keras.Model:
    """What the owner of the model does today."""
    keras.utils.set_random_seed(seed)
    model = keras.saving.load_model(path)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss={"amount": "mse", "risky": "binary_crossentropy"},
        metrics={"risky": ["accuracy"]},
    )
    model.fit(
        *data["train"], epochs=epochs, batch_size=BATCH_SIZE, verbose=verbose
    )
    return model


def train_improved(
    path: str | os.PathLike,
    data: dict[str, Examples],
    epochs: int,
    seed: int = 0,
    verbose: int | str = "auto",
) -> keras.Model:
    """The same with three more lines, which are marked."""
    keras.utils.set_random_seed(seed)
    model = keras.saving.load_model(path)
    model = keras_mtl.add_self_auxiliaries(model, "shared")  # 1
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss={"amount": "mse", "risky": "binary_crossentropy"},
        metrics={"risky": ["accuracy"]},
        aggregator="pcgrad",  # 2
    )
    model.fit(
        *data["train"], epochs=epochs, batch_size=BATCH_SIZE, verbose=verbose
    )
    model = keras_mtl.strip_auxiliaries(model)  # 3
    return model


def evaluate(model: keras.Model, test: Examples) -> dict[str, float]:
    """Mean squared error of `amount` and accuracy of `risky` on test data."""
    x, y = test
    predictions = model.predict(x, batch_size=1000, verbose=0)
    error = np.square(predictions["amount"] - y["amount"])
    right = (predictions["risky"] > 0.5) == (y["risky"] > 0.5)
    return {"amount_mse": error.mean(), "risky_accuracy": right.mean()}


def save_for_serving(
    model: keras.Model, folder: str | os.PathLike, x: np.ndarray
) -> dict[str, Any]:
    """Saves and exports a model, and checks what would be served.

    Args:
        model: What `train_improved` returned.
        folder: Where `improved.keras` and the SavedModel `export` are written.
        x: Examples to compare the outputs on.

    Returns:
        A dict with the number of `parameters`, and the largest gap between
        the outputs of the model and of `keras_file` and `saved_model`.
    """
    import tensorflow as tf

    folder = pathlib.Path(folder)
    expected = model.predict(x, verbose=0)
    model.save(folder / "improved.keras")
    loaded = keras.saving.load_model(folder / "improved.keras")
    model.export(folder / "export", verbose=False)
    exported = tf.saved_model.load(str(folder / "export"))
    return {
        "parameters": model.count_params(),
        "keras_file": _gap(expected, loaded.predict(x, verbose=0)),
        "saved_model": _gap(expected, exported.serve(x)),
    }


def _gap(expected: dict[str, Any], outputs: dict[str, Any]) -> float:
    return max(
        float(np.abs(expected[task] - np.asarray(outputs[task])).max())
        for task in expected
    )
