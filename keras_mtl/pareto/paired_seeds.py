"""Whether one method is better than another by more than chance."""

from typing import Any
from typing import NamedTuple

import numpy as np

from keras_mtl.pareto.interval import Interval
from keras_mtl.pareto.interval import by_seed
from keras_mtl.pareto.interval import checked_level
from keras_mtl.pareto.interval import pairs_by_seed
from keras_mtl.pareto.optional import import_optional
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import one_of

ALTERNATIVES = ("two-sided", "greater", "less")


class PermutationTest(NamedTuple):
    """What `permutation_test` finds.

    Attributes:
        difference: Mean of `values` minus mean of `others`.
        p_value: How often chance alone puts them as far apart.
        smallest_p_value: The smallest that so many seeds and permutations
            allow. If that is not small, neither can `p_value` be.
    """

    difference: float
    p_value: float
    smallest_p_value: float


def confidence_interval(
    values: Any, others: Any = None, level: float = 0.95
) -> Interval:
    """Student's confidence interval of a mean over seeds.

    With `others` it is that of the mean difference, seed by seed: where a seed
    gives both methods the same data and the same initial weights, that is
    narrower than the two intervals let one think.

    Args:
        values: One number a seed: a dict by seed, or a sequence.
        others: Those of another method, in a dict with the same seeds, or in
            the same order; or `None`.
        level: float, above 0 and below 1.

    Returns:
        An `Interval` with `estimate`, `low`, `high` and `level`.

    Raises:
        ImportError: If SciPy is not installed.
        ValueError: If there are fewer than two seeds, if a value is not
            finite, or if `others` has other seeds.

    Example:

    >>> print(confidence_interval([1.0, 2.0, 3.0]))
    2 [-0.4841, 4.484]
    """
    level = checked_level(level)
    if others is None:
        sample = by_seed("values", values)
    else:
        sample = np.subtract(*pairs_by_seed(values, others))
    stats = import_optional("scipy.stats", "Intervals are computed")
    mean = float(sample.mean())
    error = float(sample.std(ddof=1) / np.sqrt(len(sample)))
    margin = error * float(stats.t.ppf((1 + level) / 2, len(sample) - 1))
    return Interval(mean, mean - margin, mean + margin, level)


def permutation_test(
    values: Any,
    others: Any,
    alternative: str = "two-sided",
    num_resamples: int = 9999,
    seed: int = 0,
) -> PermutationTest:
    """How likely chance alone would put two methods so far apart.

    If the methods were alike, the two values of a seed could as well be
    exchanged. The p-value is the share of all such exchanges after which the
    means are at least as far apart. All 2^S of them are tried if they are no
    more than `num_resamples`, else so many random ones. SciPy does it.

    Three seeds cannot give less than 0.25 (0.125 one-sided), six not less than
    0.03: see `smallest_p_value`. Of several methods that are tested beside one,
    some will look better by chance: ask for p-values smaller by that factor.

    Args:
        values: One number a seed: a dict by seed, or a sequence.
        others: Those of another method, in a dict with the same seeds, or in
            the same order.
        alternative: `"two-sided"`, or `"greater"` or `"less"`, if `values`
            could only be that.
        num_resamples: int, from 1 up.
        seed: int, of the random exchanges.

    Returns:
        A `PermutationTest` with `difference`, `p_value` and
        `smallest_p_value`.

    Raises:
        ImportError: If SciPy is not installed.
        ValueError: As `confidence_interval`.

    Example:

    >>> permutation_test([3.0, 4.0, 5.0], [1.0, 3.0, 2.0])
    PermutationTest(difference=2.0, p_value=0.25, smallest_p_value=0.25)

    Of hypervolumes, seed by seed, of what `read_results` has read:

    ```python
    volumes = {
        method: {
            seed: keras_mtl.pareto.hypervolume(points, reference)
            for seed, points in runs.by("config.seed").items()
        }
        for method, runs in results.by("config.method").items()
    }
    keras_mtl.pareto.permutation_test(volumes["pcgrad"], volumes["sum"])
    ```
    """
    one_of("alternative", alternative, ALTERNATIVES)
    num_resamples = integer_from(1, "num_resamples", num_resamples)
    seed = integer_from(0, "seed", seed)
    pair = pairs_by_seed(values, others)
    stats = import_optional("scipy.stats", "Permutations are tested")
    steps = _on_a_grid(*pair)
    result = stats.permutation_test(
        (steps, np.zeros_like(steps)),
        _difference,
        permutation_type="samples",
        alternative=alternative,
        n_resamples=num_resamples,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    exchanges = 2 ** len(pair[0])
    is_exact = exchanges <= num_resamples
    smallest = 1 / exchanges if is_exact else 1 / (num_resamples + 1)
    if alternative == "two-sided":
        smallest *= 2
    return PermutationTest(
        float(np.subtract(*pair).mean()), float(result.pvalue), smallest
    )


def _difference(values: Any, others: Any, axis: int) -> Any:
    return np.sum(values - others, axis=axis)


def _on_a_grid(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Differences `[S]` as whole numbers of steps, whose sums are exact.

    Sums of floats that should tie differ by their rounding, and a tie counts
    for the p-value. A step is a power of ten, about 1e-12 of the largest.
    """
    largest = np.max(np.abs([values, others]))
    if largest == 0:
        return values - others
    digits = min(12 - int(np.ceil(np.log10(largest))), 300)
    return np.rint((values - others) * 10.0**digits)
