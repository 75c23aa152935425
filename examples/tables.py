"""How the tables of all examples show numbers over seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The mean, and the standard deviation where there are several."""
    if not len(values):
        return ""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def signed(interval: Any) -> str:
    """An interval of `keras_mtl.pareto` of a difference."""
    return (
        f"{interval.estimate:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
    )
