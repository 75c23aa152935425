"""Which losses and metrics judge entries of a label by themselves."""

import functools

import keras
import numpy as np
import pytest
from keras import losses
from keras import metrics

from keras_mtl.labels.cellwise import column_of
from keras_mtl.labels.cellwise import has_cells
from keras_mtl.labels.cellwise import matched
from keras_mtl.labels.cellwise import mean_axis
from keras_mtl.labels.cellwise import one_column
from keras_mtl.labels.cellwise import reduced_axes
from keras_mtl.labels.cellwise import weighs_cells
from keras_mtl.utils.keras_internals import LossFunctionWrapper

pytestmark = pytest.mark.backend


class OwnSquares(losses.MeanSquaredError):
    def call(self, y_true, y_pred):
        return 2 * super().call(y_true, y_pred)


class OwnPrecision(metrics.Precision):
    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(1 - y_true, y_pred, sample_weight)


@pytest.mark.parametrize(
    "part, axis",
    [
        (losses.MeanSquaredError(), -1),
        (losses.BinaryCrossentropy(axis=1), 1),
        (LossFunctionWrapper(losses.huber), -1),
        (LossFunctionWrapper(functools.partial(losses.huber, delta=2)), -1),
        (metrics.MeanAbsoluteError(), -1),
        (metrics.Hinge(), -1),
        (losses.CategoricalCrossentropy(), None),
        (losses.KLDivergence(), None),
        (metrics.BinaryAccuracy(), None),
        (metrics.AUC(), None),
        # What a subclass or a function of the user's does is not known.
        (OwnSquares(), None),
        (LossFunctionWrapper(lambda y, p: y - p), None),
    ],
)
def test_means_of_cells(part, axis):
    assert mean_axis(part) == axis


@pytest.mark.parametrize(
    "part, ranks, axes",
    [
        (losses.CategoricalCrossentropy(axis=1), (4, 3), (1,)),
        (losses.SparseCategoricalCrossentropy(axis=1), (3, 3), None),
        (losses.Dice(axis=(1, -1)), (4, 2), (1, 3)),
        (losses.MeanSquaredError(), (2, 1), None),
    ],
)
def test_axes_that_a_loss_is_told_to_reduce(part, ranks, axes):
    assert reduced_axes(part, *ranks) == axes


def test_metrics_that_take_a_weight_for_each_cell():
    for metric in (metrics.AUC(), metrics.R2Score(), metrics.BinaryIoU()):
        assert weighs_cells(metric)
        assert column_of(metric) is None
    assert column_of(metrics.Recall(class_id=2)) == 2
    for metric in (
        metrics.Precision(top_k=1),
        metrics.F1Score(),
        metrics.MeanIoU(2),
        OwnPrecision(class_id=1),
    ):
        assert not weighs_cells(metric)
        assert column_of(metric) is None


def test_matrices_of_several_columns_have_cells():
    def tensor(*shape):
        return keras.KerasTensor(shape)

    assert has_cells(tensor(None, 3), tensor(None, 3))
    assert has_cells(tensor(None, 5, 3), tensor(None, 5, None))
    assert not has_cells(tensor(None, 1), tensor(None, 1))
    assert not has_cells(tensor(None, 5), tensor(None, 5, 3))
    assert not has_cells(tensor(None, 1, 3), tensor(None, 1, 3), axis=1)


def test_one_column_makes_a_loss_give_cells():
    y_true = np.arange(6, dtype="float32").reshape(2, 3)
    y_pred = np.ones((2, 3, 1), "float32")
    y_true, y_pred = matched(y_true, y_pred)
    assert tuple(y_pred.shape) == (2, 3)
    values = losses.mean_squared_error(
        one_column(y_true, -1), one_column(y_pred, -1)
    )
    np.testing.assert_allclose(values, (y_true - 1) ** 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
