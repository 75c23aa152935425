"""What is known of the task gradients over the steps of a training."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class GradientHistory(NamedTuple):
    """Task gradients at n logged steps, as NumPy arrays.

    Attributes:
        task_names: T names, in the order of the tasks.
        steps: integers `[n]`, the training step of each entry, from 1.
        cosines: `[n, T, T]`, from -1 (opposed) to 1 (aligned). NaN where a
            gradient is zero, and so has no direction.
        norms: `[n, T]`, Euclidean norms of the task gradients.
        weights: `[n, T]`, what the aggregator multiplied them by. NaN for
            aggregators that are not a weighted sum.
    """

    task_names: tuple[str, ...]
    steps: np.ndarray
    cosines: np.ndarray
    norms: np.ndarray
    weights: np.ndarray

    @classmethod
    def from_grams(
        cls,
        task_names: Sequence[str],
        steps: Sequence[int],
        grams: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
    ) -> "GradientHistory":
        """Derives a history from n Gram matrices of T task gradients.

        Args:
            task_names: T names.
            steps: n integers.
            grams: n inner products `[T, T]`.
            weights: n task weights `[T]`.
        """
        shape = len(steps), len(task_names)
        gram = np.array(grams, "float64").reshape(*shape, shape[1])
        # An overflown gradient has an infinite or no norm, and no direction.
        with np.errstate(divide="ignore", invalid="ignore"):
            norms = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
            cosines = gram / (norms[:, :, None] * norms[:, None, :])
        return cls(
            task_names=tuple(task_names),
            steps=np.array(steps, "int64"),
            cosines=np.clip(cosines, -1.0, 1.0),
            norms=norms,
            weights=np.array(weights, "float64").reshape(shape),
        )
