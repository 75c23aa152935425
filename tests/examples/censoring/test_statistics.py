"""Statistics beside what is known of them."""

import numpy as np
import pytest

from examples.censoring.statistics import permutation_p_value
from examples.censoring.statistics import summarize


def test_interval_of_a_few_runs():
    # By the tables of Student's t: 2.776 for 4 degrees of freedom.
    found = summarize([1.0, 2.0, 3.0, 4.0, 5.0])
    error = (2.5 / 5) ** 0.5
    assert found.mean == 3 and found.count == 5
    np.testing.assert_allclose(found.error, error)
    np.testing.assert_allclose(found.high - 3, 2.776 * error, rtol=1e-3)
    np.testing.assert_allclose(3 - found.low, 2.776 * error, rtol=1e-3)


def test_interval_of_one_run_is_a_point():
    found = summarize([2.0])
    assert (found.low, found.mean, found.high) == (2.0, 2.0, 2.0)
    assert np.isnan(found.error)
    assert str(found) == "2.0000"


def test_shows_mean_and_standard_error():
    assert str(summarize([1.0, 2.0, 3.0])) == "2.0000 ± 0.5774"


def test_p_value_by_counting():
    # Of the 20 ways to choose three of six, one has so small a mean.
    p_value = permutation_p_value([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    np.testing.assert_allclose(p_value, 1 / 20)


def test_p_value_of_equal_samples():
    values = np.random.default_rng(0).normal(size=20)
    assert 0.4 < permutation_p_value(values, values) <= 1


def test_p_value_knows_the_direction():
    low, high = np.arange(10.0), np.arange(10.0) + 20
    assert permutation_p_value(low, high) < 1e-4
    assert permutation_p_value(high, low) > 0.999


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
