"""What tests of several aggregators do alike."""

from typing import Any

import numpy as np
from keras import ops

from keras_mtl.aggregators import Aggregator
from keras_mtl.solvers.random_numbers import random_orders


def update_of(method: Aggregator, rows: Any, losses: Any = None) -> np.ndarray:
    """The update that a method makes of gradients `[T, n]`."""
    rows = np.asarray(rows, "float32")
    return ops.convert_to_numpy(method(rows, losses))


def make_steps(
    count: int,
    num_tasks: int = 3,
    size: int = 8,
    scale: float = 1.0,
    seed: int = 0,
) -> np.ndarray:
    """Gradients `[count, T, n]` that wander, as those of training do."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((num_tasks, size))
    steps = []
    for _ in range(count):
        rows = 0.9 * rows + 0.4 * rng.standard_normal((num_tasks, size))
        steps.append(scale * rows)
    return np.array(steps)


def random_rows(num_tasks: int) -> np.ndarray:
    """Rows with norms alike and then with norms that differ by up to 1e4."""
    rng = np.random.default_rng(num_tasks)
    rows = rng.standard_normal((100, num_tasks, 2 * num_tasks))
    rows[50:] *= 10 ** rng.uniform(-2, 2, (50, num_tasks, 1))
    return rows.astype("float32").astype("float64")


def project(values: np.ndarray) -> np.ndarray:
    """Nearest point of the simplex, by sorting."""
    ordered = np.sort(values)[::-1]
    cuts = (np.cumsum(ordered) - 1) / np.arange(1, len(values) + 1)
    return np.maximum(values - cuts[ordered > cuts][-1], 0)


def orders_of_step(seed: int, step: int, num_tasks: int) -> np.ndarray:
    """The random orders in which PCGrad visits tasks in a step."""
    key = np.array([seed, step])
    return ops.convert_to_numpy(random_orders(key, num_tasks))


def flat_result(combined: Any) -> np.ndarray:
    """The gradients that a model would apply, as one vector."""
    parts = [ops.convert_to_numpy(g).ravel() for g in combined.gradients]
    return np.concatenate(parts)
