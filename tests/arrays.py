"""Arrays as tests need them: random ones, and what tensors hold."""

from typing import Any

import keras
import numpy as np


def numpy(tensor: Any) -> np.ndarray:
    """What a tensor or a variable holds, on any backend."""
    return keras.ops.convert_to_numpy(tensor)


def features(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers in `float32`, the same in every run."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def features_of_all(tasks: list[str], *shape: int) -> dict[str, np.ndarray]:
    """Features of one shape by task, others for each."""
    return {
        task: features(*shape, seed=seed) for seed, task in enumerate(tasks)
    }
