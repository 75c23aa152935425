"""An Adam whose bias correction runs out too soon, by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from examples.censoring.hasty_adam import HastyAdam


def test_every_variable_counts_as_a_step():
    rng = np.random.default_rng(0)
    variables = [keras.Variable(np.zeros(2), dtype="float32") for _ in "abc"]
    optimizer = HastyAdam(0.1, beta_1=0.5, beta_2=0.75, epsilon=1e-8)
    expected = np.zeros((3, 2))
    mean, square = np.zeros((3, 2)), np.zeros((3, 2))
    steps = 0
    for _ in range(3):
        gradients = rng.normal(size=(3, 2))
        for i, gradient in enumerate(gradients):
            steps += 1
            mean[i] = 0.5 * mean[i] + 0.5 * gradient
            square[i] = 0.75 * square[i] + 0.25 * gradient**2
            rate = 0.1 * (1 - 0.75**steps) ** 0.5 / (1 - 0.5**steps)
            expected[i] -= rate * mean[i] / square[i] ** 0.5
        optimizer.apply([ops.array(g, "float32") for g in gradients], variables)
    found = [ops.convert_to_numpy(v) for v in variables]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_one_variable_is_adam():
    steps = []
    for cls in (HastyAdam, keras.optimizers.Adam):
        variable = keras.Variable(np.ones(3), dtype="float32")
        optimizer = cls(0.1, epsilon=1e-12)
        for scale in (1.0, -2.0, 0.5):
            optimizer.apply([scale * ops.array([1.0, 2.0, 3.0])], [variable])
        steps.append(ops.convert_to_numpy(variable))
    np.testing.assert_allclose(*steps, rtol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
