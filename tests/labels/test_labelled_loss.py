"""Losses over what has a label equal those of the labelled alone."""

import keras
import numpy as np
import pytest
from keras import losses
from keras import ops

from keras_mtl.labels.labelled_loss import LabelledLoss
from keras_mtl.labels.whole_labels import WholeLabels
from keras_mtl.utils.keras_internals import LossFunctionWrapper

pytestmark = pytest.mark.backend

NAN = float("nan")
RNG = np.random.default_rng(0)
P = RNG.uniform(0.1, 0.9, (6, 3)).astype("float32")
Y = RNG.integers(0, 2, (6, 3)).astype("float32")
GAPS = np.where(RNG.random((6, 3)) < 0.4, NAN, Y)
GAPS[0], GAPS[1] = NAN, Y[1]
KNOWN = ~np.isnan(GAPS)
WEIGHTS = RNG.uniform(0.5, 2, 6).astype("float32")
ONE_HOT = np.eye(3, dtype="float32")[[0, 2, 1, 1, 0, 2]]


def wrapped(function, name="mine"):
    return LossFunctionWrapper(function, name=name)


def evaluate(
    loss, y_true, y_pred, weights=None, missing_label=NAN, whole_labels=None
):
    labelled = LabelledLoss(
        loss, "task", "a", missing_label, whole_labels or WholeLabels()
    )
    value, count = labelled(np.asarray(y_true), ops.array(y_pred), weights)
    return float(value), float(count)


def squares(y_true, y_pred):
    return ops.square(y_true - y_pred)


def alone(loss, weights=None, y_true=GAPS, y_pred=P):
    """The mean of a loss of cells over those that are known, one by one."""
    total = 0.0
    for row, column in np.argwhere(~np.isnan(y_true)):
        cell = (row, slice(column, column + 1))
        weight = 1.0 if weights is None else weights[row]
        total += weight * float(loss.call(y_true[cell], y_pred[cell]))
    return total / np.sum(~np.isnan(y_true))


OF_CELLS = {
    "mse": losses.MeanSquaredError(),
    "mae": losses.MeanAbsoluteError(),
    "mape": losses.MeanAbsolutePercentageError(),
    "msle": losses.MeanSquaredLogarithmicError(),
    "huber": losses.Huber(0.3),
    "log_cosh": losses.LogCosh(),
    "poisson": losses.Poisson(),
    "bce": losses.BinaryCrossentropy(label_smoothing=0.1),
    "focal": losses.BinaryFocalCrossentropy(apply_class_balancing=True),
}


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", OF_CELLS)
def test_the_mean_is_over_the_cells_that_are_known(name, weights):
    loss = OF_CELLS[name]
    value, count = evaluate(loss, GAPS, P, weights)
    np.testing.assert_allclose(value, alone(loss, weights), rtol=1e-5)
    # Rows, of which a part may be known.
    np.testing.assert_allclose(count, KNOWN.sum() / 3, rtol=1e-6)


@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
def test_hinges_know_their_kind_of_labels_by_all_that_are_known(name):
    """Labels 0 and 1 are turned into -1 and 1, unless there are others."""
    signs = 2 * GAPS - 1
    margin = np.maximum(0, 1 - np.where(KNOWN, signs, 0) * P)[KNOWN]
    expected = np.mean(margin**2 if name == "squared_hinge" else margin)
    loss = wrapped(getattr(losses, name))
    for labels in (GAPS, signs):
        np.testing.assert_allclose(
            evaluate(loss, labels, P)[0], expected, rtol=1e-5
        )


def test_a_function_that_returns_cells_is_masked_by_cell():
    error = np.square(np.where(KNOWN, GAPS, 0) - P)
    value, _ = evaluate(wrapped(squares), GAPS, P)
    np.testing.assert_allclose(value, error[KNOWN].mean(), rtol=1e-5)
    value, _ = evaluate(wrapped(squares), GAPS, P, WEIGHTS)
    weighted = (error * WEIGHTS[:, None])[KNOWN]
    np.testing.assert_allclose(value, weighted.mean(), rtol=1e-5)


def test_cells_of_channels_first():
    y_true, y_pred = GAPS.T[None], P.T[None]
    loss = losses.BinaryCrossentropy(axis=1)
    expected = evaluate(losses.BinaryCrossentropy(), GAPS, P)[0]
    np.testing.assert_allclose(
        evaluate(loss, y_true, y_pred)[0], expected, rtol=1e-5
    )


def test_labels_without_the_last_axis_of_the_prediction():
    """Keras takes (batch, time) labels for (batch, time, 1) predictions."""
    value, _ = evaluate(OF_CELLS["mse"], GAPS, P[..., None])
    np.testing.assert_allclose(value, alone(OF_CELLS["mse"]), rtol=1e-5)


REDUCTIONS = {
    "sum": lambda e, w: np.sum(e * w[:, None] * KNOWN) / 3,
    "sum_over_batch_size": lambda e, w: np.mean((e * w[:, None])[KNOWN]),
    "mean": lambda e, w: np.mean((e * w[:, None])[KNOWN]),
    "mean_with_sample_weight": lambda e, w: (
        np.sum((e * w[:, None])[KNOWN]) / np.sum((KNOWN * w[:, None]))
    ),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(reduction):
    error = np.square(np.where(KNOWN, GAPS, 0) - P)
    loss = losses.MeanSquaredError(reduction=reduction)
    value, _ = evaluate(loss, GAPS, P, WEIGHTS)
    expected = REDUCTIONS[reduction](error, WEIGHTS)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    # Where nothing is missing it is Keras' own value.
    value, _ = evaluate(loss, Y, P, WEIGHTS)
    np.testing.assert_allclose(value, loss(Y, P, WEIGHTS), rtol=1e-5)


WHOLE = {
    "crossentropy": losses.CategoricalCrossentropy(),
    "focal": losses.CategoricalFocalCrossentropy(),
    "hinge": losses.CategoricalHinge(),
    "cosine": losses.CosineSimilarity(),
    "kl": losses.KLDivergence(),
    "dice": losses.Dice(axis=-1),
    "tversky": losses.Tversky(axis=(1,)),
    "mine": wrapped(lambda y, p: ops.mean(ops.square(y - p), axis=-1)),
    "kept axis": wrapped(lambda y, p: ops.max(y * p, axis=-1, keepdims=True)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_row_that_a_loss_takes_as_a_whole(name):
    loss = WHOLE[name]
    y_true = ONE_HOT.copy()
    y_true[[1, 4]] = NAN
    rows = [0, 2, 3, 5]
    value, count = evaluate(loss, y_true, P, WEIGHTS)
    expected = loss(ONE_HOT[rows], P[rows], WEIGHTS[rows])
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert count == len(rows)
    # In part: loud where it cannot be refused,
    y_true[0, 1] = NAN
    value, count = evaluate(loss, y_true, P)
    assert np.isnan(value) and count > 0
    # and refused where one can look.
    whole_labels = WholeLabels()
    with whole_labels.watching({"a": y_true}):
        with pytest.raises(ValueError, match="1 labels of 'a' .* in part"):
            evaluate(loss, y_true, P, whole_labels=whole_labels)


@pytest.mark.parametrize("axis", [(1, 2, 3), (1, 2), (1,)])
def test_dice_of_pictures(axis):
    """What is left are examples, or their channels, or columns of these."""
    y_true = RNG.integers(0, 2, (4, 3, 3, 3)).astype("float32")
    y_pred = RNG.uniform(size=(4, 3, 3, 3)).astype("float32")
    gaps = y_true.copy()
    gaps[2] = NAN
    loss = losses.Dice(axis=axis)
    rows = [0, 1, 3]
    np.testing.assert_allclose(
        evaluate(loss, gaps, y_pred)[0],
        loss(y_true[rows], y_pred[rows]),
        rtol=1e-5,
    )


def in_two_lines(y_true, y_pred):
    difference = y_true - y_pred
    return ops.mean(difference * difference)


class OwnCall(losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return ops.mean(ops.square(y_true - y_pred))


BY_BATCH = {
    "dice": losses.Dice(),
    "tversky": losses.Tversky(),
    "mean": wrapped(in_two_lines),
    "over the batch": wrapped(lambda y, p: ops.mean(squares(y, p), axis=0)),
    "one": wrapped(lambda y, p: ops.reshape(in_two_lines(y, p), (1,))),
    "flat": wrapped(lambda y, p: ops.reshape(squares(y, p), (-1,))),
    "constant": wrapped(lambda y, p: 0.0),
}


@pytest.mark.parametrize("rows", [6, 3, 1])
@pytest.mark.parametrize("name", BY_BATCH)
def test_losses_without_values_of_examples_are_refused(name, rows):
    """At every batch size: three rows of three columns, or a single row."""
    message = r"loss of task 'task'.*one value an example.*without 'a'"
    with pytest.raises(ValueError, match=message):
        evaluate(BY_BATCH[name], GAPS[:rows], P[:rows])


def test_losses_whose_values_cannot_be_seen_are_refused():
    with pytest.raises(ValueError, match="'task', OwnCall, has a `__call__`"):
        evaluate(OwnCall(), GAPS, P)
    with pytest.raises(ValueError, match="'task', Circle, compares"):
        evaluate(losses.Circle(), GAPS[:, 0], P)
    labelled = LabelledLoss(
        wrapped(in_two_lines), "task", "a", NAN, WholeLabels()
    )
    with pytest.raises(ValueError, match="'task' has one loss for several"):
        labelled({"x": Y, "y": Y}, {"x": P, "y": P})


@pytest.mark.parametrize("padded", [False, True])
def test_a_loss_that_masks_by_itself(padded):
    """Counted once: what has a label that the loss does not ignore."""
    logits = RNG.normal(size=(2, 4, 3)).astype("float32")
    classes = np.array([[0, 2, -1, 1], [2, 1, 0, -1]])
    counts = (classes != -1) & (classes != 2)
    y_pred = ops.array(logits)
    if padded:
        mask = np.array([[True, True, True, False], [True, True, True, True]])
        y_pred._keras_mask = ops.array(mask)
        counts &= mask
    loss = losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=2
    )
    labelled = LabelledLoss(loss, "task", "a", -1, WholeLabels())
    value, count = labelled(classes, y_pred)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    terms = -np.take_along_axis(logs, classes[..., None], -1)[..., 0]
    np.testing.assert_allclose(value, terms[counts].mean(), rtol=1e-5)
    assert float(count) == counts.sum()


def test_half_precision_counts_beyond_its_integers():
    y_pred = np.ones((5001, 1), "float16")
    loss = losses.MeanSquaredError(dtype="float16")
    value, count = evaluate(loss, np.zeros((5001, 1), "float32"), y_pred)
    assert (value, count) == (1.0, 5001.0)


def test_no_example_and_no_label():
    for loss in (losses.MeanSquaredError(), losses.CategoricalCrossentropy()):
        assert evaluate(loss, GAPS[:0], P[:0]) == (0, 0)
        assert evaluate(loss, np.full_like(GAPS, NAN), P) == (0, 0)


def test_gradients_of_cells_are_those_of_the_known_alone():
    y_pred = keras.Variable(P)
    labelled = LabelledLoss(
        losses.MeanSquaredError(), "task", "a", NAN, WholeLabels()
    )

    def value(prediction):
        return labelled(GAPS, prediction)[0]

    if keras.backend.backend() == "jax":
        import jax

        found = jax.grad(value)(y_pred.value)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = value(ops.convert_to_tensor(y_pred))
        found = tape.gradient(loss, y_pred.value)
    error = 2 * (P - np.where(KNOWN, GAPS, 0)) * KNOWN / KNOWN.sum()
    np.testing.assert_allclose(found, error, atol=1e-6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
