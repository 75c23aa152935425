"""Means with confidence bands, and whether one is larger by chance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PERMUTATIONS = 100_000


class Summary(NamedTuple):
    """Some runs of one setting.

    Attributes:
        mean: Their mean.
        error: Its standard error; NaN of a single run.
        low, high: Bounds of its 95 % confidence interval, of Student's t.
        count: How many runs.
    """

    mean: float
    error: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        """Mean and standard error, as a table shows them."""
        if self.count < 2:
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} ± {self.error:.4f}"


def summarize(values: Sequence[float]) -> Summary:
    """Mean, standard error and 95 % confidence interval of some runs."""
    from scipy import stats

    values = np.asarray(values, "float64")
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Summary(mean, float("nan"), mean, mean, count)
    error = float(stats.sem(values))
    margin = error * float(stats.t.ppf(0.975, count - 1))
    return Summary(mean, error, mean - margin, mean + margin, count)


def permutation_p_value(
    smaller: Sequence[float], larger: Sequence[float], seed: int = 0
) -> float:
    """How often chance alone would put the means as far apart.

    A one-sided permutation test, as the paper's p-values are: all runs are
    dealt out anew to both groups.

    Args:
        smaller: Runs that are expected to have the smaller mean.
        larger: The others.
        seed: Of the permutations, 100,000 of them, or all if these are fewer.

    Returns:
        The p-value, above 0 and at most 1.
    """
    from scipy import stats

    def difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    result = stats.permutation_test(
        (np.asarray(smaller), np.asarray(larger)),
        difference,
        alternative="less",
        n_resamples=PERMUTATIONS,
        batch=1000,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)
