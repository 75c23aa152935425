"""Networks of one form, made equally large by their width."""

import functools
from collections.abc import Callable

import keras
import numpy as np

TOLERANCE = 0.02


def fit_width(
    count: Callable[[int], int], budget: int, *, step: int = 1
) -> int:
    """The width that brings a network nearest to so many parameters.

    Args:
        count: Takes a width, and returns how many parameters a network of that
            width has: the wider, the more.
        budget: int.
        step: The width is a multiple of it. Defaults to `1`.

    Returns:
        A positive int.

    Raises:
        ValueError: If no width comes within 2 % of the budget.
    """

    @functools.cache
    def size(steps: int) -> int:
        return count(steps * step)

    low, high = 1, 2
    while size(high) < budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if size(middle) < budget:
            low = middle
        else:
            high = middle
    nearest = min((low, high), key=lambda steps: abs(size(steps) - budget))
    if abs(size(nearest) - budget) > TOLERANCE * budget:
        raise ValueError(
            "`budget` cannot be met within 2 %: the nearest width is "
            f"{nearest * step}, with {size(nearest)} parameters. Choose a "
            f"larger one. Received: budget={budget}"
        )
    return nearest * step


def count_parameters(model: keras.Model) -> int:
    """How many numbers of a model are trained."""
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)
