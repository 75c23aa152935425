"""Two objectives whose front is concave, as a model with one variable."""

import keras
import numpy as np
from keras import ops

from keras_mtl import MultiTaskModel

SIZE = 20
TASKS = ("first", "second")
# Where each objective is zero: all coordinates 1 / sqrt(n), or minus that.
OPTIMA = np.outer([1.0, -1.0], np.full(SIZE, SIZE**-0.5))


def objective(optimum: keras.KerasTensor, x: keras.KerasTensor):
    """1 - exp(-|x - optimum|^2), `[batch]`, from 0 to 1."""
    return -ops.expm1(-ops.sum(ops.square(x - optimum), axis=-1))


def evaluate(x: np.ndarray) -> np.ndarray:
    """Both objectives in float64, `[..., 2]`, of points `[..., n]`."""
    away = np.asarray(x, "float64")[..., None, :] - OPTIMA
    return -np.expm1(-(away**2).sum(axis=-1))


def front(num_points: int = 200) -> np.ndarray:
    """Points of the Pareto front, `[num_points, 2]`: x between the optima.

    It is concave but near its ends, where weighted sums end.
    """
    shares = np.linspace(0, 1, num_points)[:, None]
    return evaluate(shares * OPTIMA[0] + (1 - shares) * OPTIMA[1])


def start(seed: int) -> np.ndarray:
    """As the authors draw it: alternating 0.3 and -0.3, and normal noise."""
    noise = np.random.default_rng(seed).standard_normal(SIZE)
    return np.where(np.arange(SIZE) % 2 == 0, 0.3, -0.3) + 0.1 * noise


def build_model(x: np.ndarray) -> MultiTaskModel:
    """A model whose only variable is the point x, `[n]`.

    Its input is a one; its two outputs are the point.
    """
    inputs = keras.Input((1,))
    point = keras.layers.Dense(SIZE, use_bias=False, name="point")
    shared = point(inputs)
    outputs = {name: keras.layers.Identity(name=name)(shared) for name in TASKS}
    model = MultiTaskModel(inputs, outputs)
    point.set_weights([np.asarray(x)[None]])
    return model


def point_of(model: MultiTaskModel) -> np.ndarray:
    """The point x, `[n]`."""
    return model.get_layer("point").get_weights()[0][0]


def data(num_steps: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """What `fit` takes to go so many steps with batches of one."""
    labels = {
        name: np.tile(optimum.astype("float32"), (num_steps, 1))
        for name, optimum in zip(TASKS, OPTIMA, strict=True)
    }
    return np.ones((num_steps, 1), "float32"), labels
