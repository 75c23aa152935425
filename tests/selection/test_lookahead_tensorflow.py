"""Task gradients on TensorFlow, and which of them are `None`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.selection.lookahead_tensorflow import compiled
from keras_mtl.selection.lookahead_tensorflow import task_gradients

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="of TensorFlow"
    ),
]


def losses(values):
    shared, left, table = values
    picked = tf.gather(table, [1, 1])
    return [
        tf.reduce_sum(shared * left),
        tf.reduce_sum(shared**2) + tf.reduce_sum(picked),
    ]


def test_gradients():
    values = [tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0]), tf.ones((3, 1))]
    results, rows = task_gradients(losses, values)
    np.testing.assert_allclose([r.numpy() for r in results], [11, 7])
    np.testing.assert_allclose(rows[0][0], [3, 4])
    np.testing.assert_allclose(rows[0][1], [1, 2])
    assert rows[0][2] is None and rows[1][1] is None
    np.testing.assert_allclose(rows[1][0], [2, 4])
    # Slices of an embedding are made dense.
    np.testing.assert_allclose(rows[1][2], [[0], [2], [0]])


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_compiled_as_the_model(run_eagerly):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=run_eagerly)
    function = compiled(lambda x: (x + 1, tf.executing_eagerly()), model)
    result, eagerly = function(tf.constant(1.0))
    assert (result, bool(eagerly)) == (2.0, run_eagerly)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
