"""Variables made in the middle of a traced step."""

import keras
import numpy as np
import pytest

from keras_mtl.backend import outside_trace

pytestmark = pytest.mark.backend


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow traces so"
)
def test_a_variable_outlives_the_trace_that_made_it():
    import tensorflow as tf

    made = []

    @tf.function
    def step():
        if not made:
            with outside_trace():
                made.append(keras.Variable(np.ones(2, "float32")))
        made[0].assign_add([1.0, 2.0])

    step()
    step()
    np.testing.assert_array_equal(made[0], [3.0, 5.0])


def test_outside_of_a_trace_nothing_changes():
    with outside_trace():
        variable = keras.Variable(np.ones(2, "float32"))
    np.testing.assert_array_equal(variable, [1.0, 1.0])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
