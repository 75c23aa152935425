"""Intervals and tests beside tables, counting and SciPy."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from keras_mtl.pareto import confidence_interval
from keras_mtl.pareto import permutation_test

RNG = np.random.default_rng(0)


def count(values, others, alternative):
    """The p-value, from all ways to exchange the values of a seed."""
    differences = np.subtract(values, others)
    signs = np.array(list(product([1, -1], repeat=len(differences))))
    means = (signs * differences).mean(axis=1)
    greater = (means >= differences.mean() - 1e-12).mean()
    less = (means <= differences.mean() + 1e-12).mean()
    if alternative == "two-sided":
        return min(2 * min(greater, less), 1)
    return greater if alternative == "greater" else less


class TestConfidenceInterval:
    def test_by_hand(self):
        """4.303 is Student's quantile of two degrees of freedom."""
        found = confidence_interval([1.0, 2.0, 3.0])
        margin = 4.302652729749464 / np.sqrt(3)
        assert found.estimate == 2 and found.level == 0.95
        np.testing.assert_allclose(found[1:3], [2 - margin, 2 + margin])

    @pytest.mark.parametrize("level", [0.5, 0.99])
    def test_equals_scipy(self, level):
        values = RNG.normal(size=9)
        found = confidence_interval(values, level=level)
        expected = stats.ttest_1samp(values, 0).confidence_interval(level)
        np.testing.assert_allclose(found[1:3], expected)

    def test_of_pairs(self):
        noise = RNG.normal(size=6)
        values, others = 10 * noise + [1, 2, 3, 1, 2, 3], 10 * noise
        found = confidence_interval(values, others)
        expected = stats.ttest_rel(values, others).confidence_interval()
        np.testing.assert_allclose(found[1:3], expected)
        # What both have in common does not widen it.
        assert found.high - found.low < 2
        alone = confidence_interval(values)
        assert alone.high - alone.low > 5

    def test_values_that_are_all_the_same(self):
        assert confidence_interval([2.0, 2.0]) == (2, 2, 2, 0.95)

    def test_one_seed(self):
        with pytest.raises(ValueError, match="at least two seeds"):
            confidence_interval({0: 1.0})


class TestPermutationTest:
    @pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
    def test_counts_all_exchanges(self, alternative):
        values, others = RNG.normal(size=(2, 7))
        found = permutation_test(values, others, alternative)
        expected = count(values, others, alternative)
        assert found.p_value == pytest.approx(expected)
        assert found.difference == pytest.approx((values - others).mean())
        smallest = 2 / 128 if alternative == "two-sided" else 1 / 128
        assert found.smallest_p_value == smallest

    def test_three_seeds_that_all_agree(self):
        found = permutation_test({0: 3, 1: 4, 2: 5}, {2: 2, 1: 3, 0: 1})
        assert found == (2, 0.25, 0.25)

    def test_no_difference(self):
        assert permutation_test([1, 2, 3], [1, 2, 3]).p_value == 1

    def test_many_seeds_are_drawn_and_repeat(self):
        values = RNG.normal(size=30) + 3
        others = RNG.normal(size=30)
        found = permutation_test(values, others, num_resamples=199)
        assert found.p_value == found.smallest_p_value == 2 / 200
        again = permutation_test(values - 2.8, others, num_resamples=199)
        assert again == permutation_test(
            values - 2.8, others, num_resamples=199
        )
        assert 0.01 < again.p_value < 1

    @pytest.mark.parametrize(
        "kwargs, message",
        [
            ({"alternative": "larger"}, "`alternative`.*'larger'"),
            ({"num_resamples": 0}, "`num_resamples`.*0"),
            ({"seed": -1}, "`seed`.*-1"),
        ],
    )
    def test_bad_arguments(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            permutation_test([1, 2], [2, 1], **kwargs)


def exact_p_value(steps):
    """By integers: how many of all changes of sign sum to at least as much."""
    signs = product([1, -1], repeat=len(steps))
    sums = [sum(s * d for s, d in zip(sign, steps)) for sign in signs]
    return sum(found >= sum(steps) for found in sums) / len(sums)


def test_ties_are_counted_as_integers_do():
    rng = np.random.default_rng(0)
    for _ in range(100):
        values, others = rng.integers(9350, 9400, (2, 6)).tolist()
        steps = [a - b for a, b in zip(values, others)]
        found = permutation_test(
            [value / 10000 for value in values],
            [other / 10000 for other in others],
            alternative="greater",
        )
        assert found.p_value == exact_p_value(steps), steps


def test_series_are_paired_by_their_index():
    pd = pytest.importorskip("pandas")
    values = pd.Series([1.0, 2.0, 4.0], index=[0, 1, 2])
    others = pd.Series([3.0, 1.5, 0.5], index=[2, 1, 0])
    found = permutation_test(values, others)
    assert found == permutation_test([1.0, 2.0, 4.0], [0.5, 1.5, 3.0])
    assert found.p_value == 0.25
    doubled = pd.Series([1.0, 2.0], index=[0, 0])
    with pytest.raises(ValueError, match="`values`.*once.*0, 0"):
        permutation_test(doubled, doubled)


def test_a_tie_of_accuracies():
    found = permutation_test(
        [0.934, 0.9397, 0.9399, 0.9307, 0.9334, 0.9378],
        [0.9338, 0.9393, 0.9395, 0.9309, 0.9331, 0.9376],
        alternative="greater",
    )
    assert found.p_value == 0.0625


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
