"""What losses and metrics get of labels that can miss."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.labels.labelled_batch import labelled_batch

pytestmark = pytest.mark.backend

MSE = keras.losses.MeanSquaredError()
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy()
NAN = float("nan")


def arrays(batch):
    parts = batch.labels, batch.predictions, batch.missing
    return [ops.convert_to_numpy(part) for part in parts]


@pytest.mark.parametrize("judge", [MSE, keras.metrics.MeanSquaredError()])
def test_a_matrix_is_judged_cell_by_cell(judge):
    y_true = np.array([[1.0, NAN], [NAN, 4.0]], "float32")
    batch = labelled_batch(judge, y_true, ops.ones((2, 2)), NAN)
    labels, predictions, missing = arrays(batch)
    assert batch.cell_axis == -1
    np.testing.assert_array_equal(labels, [[1, 0], [0, 4]])
    np.testing.assert_array_equal(predictions, np.ones((2, 2)))
    np.testing.assert_array_equal(missing, [[False, True], [True, False]])


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_one_column_is_none_of_cells(shape):
    y_true = np.array([1.0, -1.0, 3.0], "float32")
    batch = labelled_batch(MSE, y_true, ops.ones(shape), -1.0)
    labels, predictions, missing = arrays(batch)
    assert batch.cell_axis is None
    assert labels.shape == predictions.shape == missing.shape == (3, 1)
    np.testing.assert_array_equal(missing[:, 0], [False, True, False])


def test_classes_keep_their_shape():
    y_true = np.array([2, -1, 0], "int32")
    batch = labelled_batch(CROSS_ENTROPY, y_true, ops.ones((3, 4)), -1)
    labels, predictions, missing = arrays(batch)
    assert batch.cell_axis is None
    assert labels.dtype == "int32" and predictions.shape == (3, 4)
    np.testing.assert_array_equal(labels, [2, 0, 0])
    np.testing.assert_array_equal(missing, [False, True, False])


def test_a_loss_has_its_type():
    y_true = np.array([[2], [1]], "int32")
    predictions = ops.ones((2, 1), "float16")
    batch = labelled_batch(MSE, y_true, predictions, -1, "float32")
    assert [array.dtype for array in arrays(batch)[:2]] == ["float32"] * 2


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
