"""Numbers by seed, and how an interval is shown."""

import numpy as np
import pytest

from keras_mtl.pareto.interval import Interval
from keras_mtl.pareto.interval import checked_level
from keras_mtl.pareto.interval import pairs_by_seed


def test_as_a_table_shows_it():
    assert str(Interval(0.123456, -0.1, 0.5, 0.95)) == "0.1235 [-0.1, 0.5]"


@pytest.mark.parametrize("level", [0, 1, 95, "0.95", None, np.nan, True])
def test_bad_levels(level):
    with pytest.raises(ValueError, match="`level` must be a number above 0"):
        checked_level(level)


def test_pairs_are_by_seed_and_not_by_order():
    first, second = pairs_by_seed({7: 1.0, 8: 2.0}, {8: 20.0, 7: 10.0})
    assert first.tolist() == [1, 2] and second.tolist() == [10, 20]


@pytest.mark.parametrize(
    "values, others, message",
    [
        ({1: 1, 2: 2}, {1: 1, 3: 2}, r"the same seeds.*\[2, 3\]"),
        ({1: 1, 2: 2}, [1, 2], "two dicts by seed"),
        ([1, 2], [1, 2, 3], "the same seeds.*2 and 3"),
        ([1], [2], "at least two seeds"),
        ([1, np.nan], [1, 2], "`values` must have a finite number"),
        ([1, 2], [[1, 2]], "`others` must have a finite number"),
        (["1", "2"], [1, 2], "`values` must hold numbers"),
    ],
)
def test_what_are_no_pairs(values, others, message):
    with pytest.raises(ValueError, match=message):
        pairs_by_seed(values, others)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
