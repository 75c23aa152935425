"""A model of two tasks, and the gradients of its steps."""

import functools
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


# A few small steps are faster without a graph on TensorFlow.
QUICK = {"run_eagerly": True} if ON_TENSORFLOW else {}


CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


LOSS = {"a": CROSS_ENTROPY, "b": "mse"}


ROWS = 16


AGGREGATORS = {
    "none": lambda: None,
    "sum": aggregators.Sum,
    "mean": aggregators.Mean,
    "pcgrad": lambda: aggregators.PCGrad(seed=1),
    "mgda": aggregators.MGDA,
    "mgda_loss+": lambda: aggregators.MGDA("loss+"),
    "projection_of_a": lambda: aggregators.Projection("a"),
    "projection_of_b": lambda: aggregators.Projection("b", smoothing=1.0),
    "unweighted_cosine": lambda: aggregators.UnweightedCosine("b"),
    "weighted_cosine": lambda: aggregators.WeightedCosine("a"),
    "orthogonal": lambda: aggregators.Orthogonal("a", smoothing=0.5),
}


each_aggregator = pytest.mark.parametrize("aggregator", AGGREGATORS)


def make_data(seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    digits = rng.integers(0, 3, ROWS)
    angles = rng.normal(size=(ROWS, 1)).astype("float32")
    return x, {"a": digits, "b": angles}


def make_model(regularizer: Any = None) -> MultiTaskModel:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((4,))
    first = layers.Dense(5, "tanh", name="first")(inputs)
    second = layers.Dense(
        4, "tanh", name="second", kernel_regularizer=regularizer
    )(first)
    outputs = {
        "a": layers.Dense(3, name="a")(second),
        "b": layers.Dense(1, name="b")(second),
    }
    model = MultiTaskModel(inputs, outputs)
    # The same on every backend, with tasks that are in conflict.
    rng = np.random.default_rng(0)
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([rng.normal(size=s, scale=0.5) for s in shapes])
    return model


def gradients(
    data: tuple | None = None, model: Any = None, **arguments: Any
) -> dict[str, np.ndarray]:
    """What one step would subtract from each variable, by path."""
    model = model or make_model()
    model.compile(
        **{"optimizer": keras.optimizers.SGD(1.0), "loss": LOSS, **QUICK}
        | arguments
    )
    before = {v.path: np.array(v) for v in model.trainable_variables}
    model.train_on_batch(*(data or make_data()))
    return {
        v.path: before[v.path] - np.array(v) for v in model.trainable_variables
    }


@functools.cache
def task_gradients() -> tuple[dict, dict]:
    """The gradients of tasks a and b, from stock losses with one weight 0."""
    a = gradients(loss_weights={"a": 1.0, "b": 0.0})
    b = gradients(loss_weights={"a": 0.0, "b": 1.0})
    return a, b


@functools.cache
def summed_gradients() -> dict:
    return gradients()


def assert_close(left: dict, right: dict, atol: float = 1e-6) -> None:
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_allclose(
            left[path], right[path], atol=atol, err_msg=path
        )


def flat(values: dict, paths: Any) -> np.ndarray:
    return np.concatenate([values[path].ravel() for path in paths])


SHARED = ["first/kernel", "first/bias", "second/kernel", "second/bias"]


HEADS = ["a/kernel", "a/bias", "b/kernel", "b/bias"]
