"""How the tables of all examples show numbers over seeds."""

import pytest

from examples import tables
from keras_mtl.pareto import Interval


def test_spread():
    assert tables.spread([]) == ""
    assert tables.spread([0.5]) == "0.50"
    # Of 1, 2 and 3 the deviation is 1.
    assert tables.spread([1, 2, 3], digits=1) == "2.0 ± 1.0"


def test_signed():
    interval = Interval(0.5, -1.0, 2.0, 0.95)
    assert tables.signed(interval) == "+0.50 [-1.00, +2.00]"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
