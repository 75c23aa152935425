"""Metrics over what has a label equal those of the labelled alone."""

import keras
import numpy as np
import pytest
from keras import metrics
from keras import ops

from keras_mtl.labels.labelled_metric import LabelledMetric
from keras_mtl.labels.whole_labels import WholeLabels

pytestmark = pytest.mark.backend

NAN = float("nan")
RNG = np.random.default_rng(0)
P = RNG.uniform(0.05, 0.95, (8, 3)).astype("float32")
Y = RNG.integers(0, 2, (8, 3)).astype("float32")
GAPS = np.where(RNG.random((8, 3)) < 0.4, NAN, Y)
GAPS[0], GAPS[1] = NAN, Y[1]
KNOWN = ~np.isnan(GAPS)
WEIGHTS = RNG.uniform(0.5, 2, 8).astype("float32")


def result(metric, y_true, y_pred, weights=None, whole_labels=None):
    labelled = LabelledMetric(metric, "a", NAN, whole_labels or WholeLabels())
    # Two batches, whose values do not go by their sizes.
    for rows in (slice(3), slice(3, None)):
        part = None if weights is None else weights[rows]
        labelled.update_state(y_true[rows], ops.array(y_pred[rows]), part)
    return ops.convert_to_numpy(metric.result())


def of_cells(make, weights=None):
    """The metric of the cells that are known, each an example."""
    metric = make()
    spread = None
    if weights is not None:
        spread = np.repeat(weights[:, None], 3, axis=1)[KNOWN]
    metric.update_state(GAPS[KNOWN][:, None], P[KNOWN][:, None], spread)
    return ops.convert_to_numpy(metric.result())


def absolute(y_true, y_pred):
    return ops.abs(y_true - y_pred)


OF_CELLS = {
    "mae": metrics.MeanAbsoluteError,
    "rmse": metrics.RootMeanSquaredError,
    "bce": metrics.BinaryCrossentropy,
    "log_cosh": metrics.LogCoshError,
    "function": lambda: metrics.MeanMetricWrapper(absolute),
    "accuracy": metrics.BinaryAccuracy,
    "auc": metrics.AUC,
    "precision": metrics.Precision,
    "recall": lambda: metrics.Recall(thresholds=0.3),
    "positives": metrics.TruePositives,
    "at recall": lambda: metrics.PrecisionAtRecall(0.5),
    "iou": metrics.BinaryIoU,
}


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", OF_CELLS)
# `BinaryIoU` counts in integers.
@pytest.mark.filterwarnings(
    "ignore:You are passing weight as",
    "ignore:Explicitly requested dtype int64",
)
def test_cells_that_are_missing_are_left_out(name, weights):
    make = OF_CELLS[name]
    found = result(make(), GAPS, P, weights)
    np.testing.assert_allclose(found, of_cells(make, weights), rtol=1e-5)


def test_metrics_of_columns():
    """Each column has its own rows; a mean of columns weighs them alike."""
    columns = [
        (GAPS[KNOWN[:, c], c], P[KNOWN[:, c], c], WEIGHTS[KNOWN[:, c]])
        for c in range(3)
    ]
    makers = {
        metrics.AUC: lambda: metrics.AUC(multi_label=True, num_labels=3),
        metrics.R2Score: metrics.R2Score,
    }
    for one, of_all in makers.items():
        expected = []
        for y_true, y_pred, weights in columns:
            metric = one()
            metric.update_state(y_true[:, None], y_pred[:, None], weights)
            expected.append(float(metric.result()))
        found = result(of_all(), GAPS, P, WEIGHTS)
        np.testing.assert_allclose(found, np.mean(expected), rtol=1e-5)
    y_true, y_pred, weights = columns[1]
    metric = metrics.Precision()
    metric.update_state(y_true, y_pred, weights)
    found = result(metrics.Precision(class_id=1), GAPS, P, WEIGHTS)
    np.testing.assert_allclose(found, metric.result(), rtol=1e-6)


WHOLE = {
    "accuracy": metrics.CategoricalAccuracy,
    "crossentropy": metrics.CategoricalCrossentropy,
    "cosine": metrics.CosineSimilarity,
    "f1": lambda: metrics.F1Score("macro", 0.5),
    "top_k": lambda: metrics.Precision(top_k=1),
    "mine": lambda: metrics.MeanMetricWrapper(
        lambda y, p: ops.max(ops.abs(y - p), axis=-1)
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_rows_that_a_metric_takes_as_a_whole(name):
    y_true = np.eye(3, dtype="float32")[RNG.integers(0, 3, 8)]
    gaps = y_true.copy()
    gaps[[1, 6]] = NAN
    rows = [0, 2, 3, 4, 5, 7]
    alone = WHOLE[name]()
    alone.update_state(y_true[rows], P[rows], WEIGHTS[rows])
    found = result(WHOLE[name](), gaps, P, WEIGHTS)
    np.testing.assert_allclose(found, alone.result(), rtol=1e-5)
    gaps[0, 2] = NAN
    assert np.isnan(result(WHOLE[name](), gaps, P)).any()
    whole_labels = WholeLabels()
    with whole_labels.watching({"a": gaps}):
        with pytest.raises(ValueError, match="1 labels of 'a' .* the metric"):
            result(WHOLE[name](), gaps, P, whole_labels=whole_labels)


@pytest.mark.parametrize("rows", [8, 3, 1])
@pytest.mark.parametrize(
    "function",
    [
        lambda y, p: ops.mean(absolute(y, p)),
        lambda y, p: ops.mean(absolute(y, p), axis=0),
        keras.losses.MeanAbsoluteError(),
    ],
)
def test_functions_without_values_of_examples_are_refused(function, rows):
    metric = metrics.MeanMetricWrapper(function, name="mine")
    message = "the metric 'mine' of 'a' to return one value an example"
    with pytest.raises(ValueError, match=message):
        result(metric, GAPS[:rows], P[:rows])


def test_a_metric_that_counts_what_has_no_label_is_refused():
    with pytest.raises(ValueError, match="num_regressors=2"):
        result(metrics.R2Score(num_regressors=2), GAPS, P)


def test_masks_of_keras_hold_as_without_missing_labels():
    y_true = RNG.normal(size=(2, 4, 2)).astype("float32")
    y_pred = ops.array(RNG.normal(size=(2, 4, 2)).astype("float32"))
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    y_pred._keras_mask = ops.array(mask)
    gaps = y_true.copy()
    gaps[0, 0, 1] = gaps[1, 2] = gaps[1, 3, 0] = NAN
    metric = metrics.MeanAbsoluteError()
    LabelledMetric(metric, "a", NAN, WholeLabels()).update_state(gaps, y_pred)
    counts = mask[..., None] & ~np.isnan(gaps)
    error = np.abs(y_true - ops.convert_to_numpy(y_pred))
    np.testing.assert_allclose(metric.result(), error[counts].mean(), rtol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
