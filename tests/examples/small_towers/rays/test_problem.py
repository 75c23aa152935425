"""The problem of two objectives, as numbers and as a model."""

import numpy as np
import pytest
from keras import ops

from examples.small_towers.rays import problem


def test_values():
    ends = problem.evaluate(problem.OPTIMA)
    # The optima are two apart.
    far = 1 - np.exp(-4)
    np.testing.assert_allclose(ends, [[0, far], [far, 0]], atol=1e-12)
    middle = 1 - np.exp(-1)
    np.testing.assert_allclose(problem.evaluate(np.zeros(20)), middle)


def test_front_is_concave():
    first, second = problem.front(50).T
    assert (np.diff(first) < 0).all() and (np.diff(second) > 0).all()
    # The slope of the second by the first, which falls from the left.
    slopes = np.diff(second) / np.diff(first)
    assert (np.diff(slopes)[12:-12] > 0).all()
    # All between the ends is further out than the line that joins them.
    ends = first[0] + second[0]
    assert (first + second)[12:-12].min() > 1.05 * ends


def test_model_has_the_objectives_of_its_point():
    x = problem.start(seed=3).astype("float32")
    model = problem.build_model(x)
    np.testing.assert_array_equal(problem.point_of(model), x)
    inputs, labels = problem.data(1)
    outputs = model(inputs)
    found = [
        ops.convert_to_numpy(problem.objective(labels[name], outputs[name]))
        for name in problem.TASKS
    ]
    expected = problem.evaluate(x)
    np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
