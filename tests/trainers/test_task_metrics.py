"""Metrics of outputs whose labels and weights are given in part."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.trainers.task_metrics import TaskMetrics

pytestmark = pytest.mark.backend

NAN = float("nan")
RNG = np.random.default_rng(0)
Y = {name: RNG.normal(size=(6, 2)).astype("float32") for name in "ba"}
P = {name: RNG.normal(size=(6, 2)).astype("float32") for name in "ab"}


def with_missing(rows, value=NAN):
    y_true = {name: labels.copy() for name, labels in Y.items()}
    y_true["a"][rows] = value
    return y_true


def test_metrics_leave_out_unlabelled_examples():
    metrics = TaskMetrics(
        {"a": ["mae"], "b": ["mae"]},
        {"a": ["mse"]},
        output_names=["a", "b"],
        missing_label=NAN,
    )
    weights = {"a": np.array([1.0, 3, 9, 9, 9, 9]), "b": np.ones(6)}
    metrics.update_state(with_missing(slice(2, None)), P, weights)
    result = metrics.result()
    error = np.abs(Y["a"] - P["a"]).mean(axis=1)
    np.testing.assert_allclose(result["a_mae"], error[:2].mean(), rtol=1e-5)
    squares = ((Y["a"] - P["a"]) ** 2).mean(axis=1)
    np.testing.assert_allclose(
        result["a_mse"], (squares[0] + 3 * squares[1]) / 4, rtol=1e-5
    )
    all_errors = np.abs(Y["b"] - P["b"]).mean()
    np.testing.assert_allclose(result["b_mae"], all_errors, rtol=1e-5)


def test_metrics_that_know_no_masks_leave_them_out_too():
    metrics = TaskMetrics(
        [keras.metrics.AUC()], None, output_names=["a"], missing_label=-1
    )
    y_true = np.array([[0.0], [1], [-1], [-1]])
    metrics.update_state(y_true, ops.array([[0.2], [0.9], [0.1], [0.8]]))
    np.testing.assert_allclose(metrics.result()["auc"], 1.0)


@pytest.mark.parametrize("missing_label", [None, NAN])
@pytest.mark.parametrize("as_list", [False, True])
def test_sample_weights_of_some_outputs(missing_label, as_list):
    metrics = TaskMetrics(
        None,
        [["mae"], ["mae"]],
        output_names=["a", "b"],
        missing_label=missing_label,
    )
    weights = {"b": np.arange(1.0, 7.0)}
    y_true, y_pred = ([Y["a"], Y["b"]], [P["a"], P["b"]]) if as_list else (Y, P)
    metrics.update_state(y_true, y_pred, weights)
    errors = {name: np.abs(Y[name] - P[name]).mean(axis=1) for name in "ab"}
    result = metrics.result()
    np.testing.assert_allclose(result["a_mae"], errors["a"].mean(), rtol=1e-5)
    expected = np.average(errors["b"], weights=weights["b"])
    np.testing.assert_allclose(result["b_mae"], expected, rtol=1e-5)


def test_weights_of_nested_outputs():
    outputs = {"what": {"a": P["a"], "c": P["b"]}, "b": P["b"]}
    labels = {"what": {"a": Y["a"], "c": Y["b"]}, "b": Y["b"]}
    names = {"what": {"a": ["mae"], "c": ["mse"]}, "b": ["mape"]}
    metrics = TaskMetrics(None, names, missing_label=NAN)
    metrics.update_state(labels, outputs, {"what": {"a": np.arange(1.0, 7.0)}})
    found = {m.name: float(m.result()) for m in metrics.metrics}
    errors = np.abs(Y["a"] - P["a"]).mean(axis=1)
    expected = np.average(errors, weights=np.arange(1.0, 7.0))
    np.testing.assert_allclose(found["mae"], expected, rtol=1e-5)
    expected = np.mean((Y["b"] - P["b"]) ** 2)
    np.testing.assert_allclose(found["mse"], expected, rtol=1e-5)


def test_metrics_of_outputs_with_labels_need_none_of_the_others():
    metrics = TaskMetrics({"a": ["mae"]}, None, output_names=["a", "b"])
    metrics.update_state({"a": Y["a"]}, P)
    expected = np.abs(Y["a"] - P["a"]).mean()
    np.testing.assert_allclose(metrics.result()["a_mae"], expected, rtol=1e-5)


@pytest.mark.parametrize("names", [None, ["a", "b"]])
def test_metrics_of_what_is_no_output_are_refused(names):
    metrics = TaskMetrics({"c": ["mae"]}, None, output_names=names)
    with pytest.raises(ValueError, match=r"`metrics` has entries \['c'\]"):
        metrics.update_state(Y, P)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
