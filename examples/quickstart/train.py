"""Trains one network with three methods on the same two tasks."""

import dataclasses
import time
from collections.abc import Callable

import keras
import numpy as np

import keras_mtl
from keras_mtl.datasets import synthetic_sine

TASKS = ("y1", "y2")
REPRESENTATION = "representation"
# The published data, with 200 features and frequencies up to 149, take a
# hundred thousand examples and far more time to learn.
NUM_FEATURES = 10
FREQUENCY_SCALE = 0.3
AUXILIARY_WEIGHT = 1.0

Examples = tuple[np.ndarray, dict[str, np.ndarray]]


@dataclasses.dataclass
class Run:
    """What one method did: a history of epochs, and how long it took."""

    history: dict[str, list[float]]
    seconds: float

    @property
    def test_loss(self) -> dict[str, float]:
        """The test loss of each task after the last epoch."""
        return {task: self.history[f"val_{task}_loss"][-1] for task in TASKS}

    @property
    def conflict(self) -> float:
        """The share of steps in which the two task gradients conflicted."""
        return float(np.mean(self.history["gradient_conflict"]))


def build_network() -> keras_mtl.MultiTaskModel:
    """Two shared layers, and one hidden layer and an output for each task."""
    inputs = keras.Input((NUM_FEATURES,))
    x = keras.layers.Dense(250, activation="relu")(inputs)
    x = keras.layers.Dense(125, activation="relu", name=REPRESENTATION)(x)
    return keras_mtl.MultiTaskModel(inputs, {t: _head(x, t) for t in TASKS})


def _head(x: keras.KerasTensor, task: str) -> keras.KerasTensor:
    x = keras.layers.Dense(100, activation="relu", name=f"{task}_hidden")(x)
    return keras.layers.Dense(1, name=task)(x)


def plain_sum() -> keras_mtl.MultiTaskModel:
    # "sum" trains as `aggregator=None` does, and logs conflicts too.
    return _compile(build_network(), "sum")


def pcgrad() -> keras_mtl.MultiTaskModel:
    return _compile(build_network(), keras_mtl.aggregators.PCGrad(seed=0))


def self_auxiliaries() -> keras_mtl.MultiTaskModel:
    model = keras_mtl.add_self_auxiliaries(
        build_network(), REPRESENTATION, weight=AUXILIARY_WEIGHT
    )
    return _compile(model, "sum")


METHODS: dict[str, Callable[[], keras_mtl.MultiTaskModel]] = {
    "sum": plain_sum,
    "PCGrad": pcgrad,
    "self-auxiliaries": self_auxiliaries,
}


def _compile(
    model: keras_mtl.MultiTaskModel,
    aggregator: str | keras_mtl.aggregators.Aggregator,
) -> keras_mtl.MultiTaskModel:
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss={task: "mse" for task in TASKS},
        aggregator=aggregator,
    )
    return model


def train(
    num_examples: int, epochs: int, seed: int = 0, verbose: int | str = "auto"
) -> dict[str, Run]:
    """Trains every method from the same weights on the same batches.

    Args:
        num_examples: int, training examples. A fifth as many test examples
            are drawn.
        epochs: int, at least 1.
        seed: int, of data, initial weights and batches.
        verbose: As for `keras.Model.fit`.

    Returns:
        A dict from the names of the methods to their runs.
    """
    data, test = make_data(num_examples, seed)
    runs = {}
    for name, build in METHODS.items():
        if verbose:
            print(f"\n{name}", flush=True)
        # Trunk and heads are made first and by the same code, so the same
        # seed gives them the same weights, and the batches the same order.
        keras.utils.set_random_seed(seed)
        model = build()
        start = time.perf_counter()
        history = model.fit(
            *data,
            epochs=epochs,
            batch_size=128,
            validation_data=test,
            validation_batch_size=1000,
            verbose=verbose,
        )
        seconds = time.perf_counter() - start
        runs[name] = Run(history.history, seconds)
    return runs


def make_data(num_examples: int, seed: int) -> tuple[Examples, Examples]:
    """Draws training and test examples.

    Labels are divided by their standard deviation in the training examples, so
    that predicting the mean leaves a loss of 1.
    """
    x, y = _draw(num_examples, 2 * seed)
    x_test, y_test = _draw(max(1, num_examples // 5), 2 * seed + 1)
    scale = {task: y[task].std() for task in TASKS}
    return (
        (x, {task: y[task] / scale[task] for task in TASKS}),
        (x_test, {task: y_test[task] / scale[task] for task in TASKS}),
    )


def _draw(num_examples: int, seed: int) -> Examples:
    return synthetic_sine(
        num_examples,
        seed=seed,
        num_features=NUM_FEATURES,
        frequency_scale=FREQUENCY_SCALE,
    )
