"""Fronts of training losses that are known: what networks reach of them.

Two convex losses of shared weights have a convex front. A network that can
fit any labels has one, too, if the tasks share its output: the two losses
trade along `sqrt(L1) + sqrt(L2) = |Y1 - Y2|`. With an output for each task
it has no trade-off: both losses fall to 0.
"""

import keras
import numpy as np
from keras import ops

import keras_mtl

TASKS = ("y1", "y2")
Labels = dict[str, np.ndarray]


def distance(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> object:
    """The square of the Euclidean distance; not its mean over the entries."""
    return ops.sum(ops.square(y_true - y_pred))


def fit(
    model: keras_mtl.MultiTaskModel,
    x: np.ndarray,
    y: Labels,
    optimizer: keras.optimizers.Optimizer,
    weight: float,
    steps: int,
) -> dict[str, float]:
    """Trains on all examples at once, and measures both training losses.

    Args:
        model: From inputs to outputs `"y1"` and `"y2"`.
        x: Inputs, `[N, F]`.
        y: Labels of both tasks, `[N, C]` each.
        optimizer: What trains it.
        weight: Of the loss of `y1`; that of `y2` is what is left of 1.
        steps: How many.

    Returns:
        For each task the square of the distance to its labels.
    """
    model.compile(
        optimizer,
        loss=dict.fromkeys(TASKS, distance),
        loss_weights={"y1": weight, "y2": 1 - weight},
        steps_per_execution=min(steps, 100),
    )
    # One epoch of equal batches: an epoch a step would take longer.
    batches = Repeated(x, y, steps)
    model.fit(batches, shuffle=False, verbose=0)
    found = model.predict(x, batch_size=len(x), verbose=0)
    return {
        task: float(np.sum((found[task] - y[task]) ** 2, dtype="float64"))
        for task in TASKS
    }


class Repeated(keras.utils.PyDataset):
    """All examples as one batch, again and again."""

    def __init__(self, x: np.ndarray, y: Labels, steps: int):
        super().__init__()
        self.batch = x, y
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, Labels]:
        return self.batch


def quadratics(labels: Labels, weight: float) -> dict[str, float]:
    """Minimises the weighted sum of `|theta - y1|^2` and `|theta - y2|^2`.

    Args:
        labels: The points `"y1"` and `"y2"`, `[1, C]` each.
        weight: As for `fit`.

    Returns:
        The two distances, squared.
    """
    x = np.ones((1, 1), "float32")
    inputs = keras.Input((1,))
    size = labels["y1"].shape[-1]
    theta = keras.layers.Dense(size, use_bias=False, name="theta")(inputs)
    model = keras_mtl.MultiTaskModel(inputs, {task: theta for task in TASKS})
    # Each step takes off half of what is left.
    return fit(model, x, labels, keras.optimizers.SGD(0.25), weight, 20)


def random_labels(count: int = 20, seed: int = 0) -> tuple[np.ndarray, Labels]:
    """Inputs and labels that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 10)).astype("float32")
    y = {t: rng.standard_normal((count, 1)).astype("float32") for t in TASKS}
    return x, y


def wide_network(
    x: np.ndarray, y: Labels, weight: float, heads: bool, steps: int = 400
) -> dict[str, float]:
    """Trains a network with more weights than examples.

    Args:
        x: As for `fit`.
        y: As for `fit`.
        weight: As for `fit`.
        heads: Whether each task has an output of its own.
        steps: As for `fit`.

    Returns:
        The two training losses, as sums over the examples.
    """
    keras.utils.set_random_seed(0)
    inputs = keras.Input(x.shape[1:])
    hidden = keras.layers.Dense(500, "relu")(inputs)
    outputs = [keras.layers.Dense(1)(hidden) for _ in range(1 + heads)]
    model = keras_mtl.MultiTaskModel(
        inputs, {"y1": outputs[0], "y2": outputs[-1]}
    )
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    return fit(model, x, y, keras.optimizers.Adam(rate), weight, steps)
