"""Whether all numbers of a log are finite."""

import numpy as np
import pytest

from keras_mtl.trainers.tell_of_not_finite import logs_are_finite

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("logs", "finite"),
    [
        (1.0, True),
        ([1.0, float("nan")], False),
        ({"loss": np.float32(2), "by_class": [0.0, 1.0]}, True),
        ({"loss": 1.0, "by_class": [0.0, np.inf]}, False),
        ([], True),
    ],
)
def test_logs_are_finite(logs, finite):
    assert logs_are_finite(logs) is finite


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
