"""Recording the losses of single tasks as Keras computes them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl.trainers.task_losses import TaskLosses
from keras_mtl.utils.keras_internals import OpenLosses

pytestmark = pytest.mark.backend

NAN = float("nan")
RNG = np.random.default_rng(0)
Y = {name: RNG.normal(size=(6, 2)).astype("float32") for name in "ba"}
P = {name: RNG.normal(size=(6, 2)).astype("float32") for name in "ab"}


def mse(name, rows=slice(None)):
    return np.mean((Y[name][rows] - P[name][rows]) ** 2)


def evaluate(losses, y_true, y_pred, sample_weight=None, predictions=None):
    with losses.recording(predictions) as record:
        total = losses(y_true, y_pred, sample_weight)
    return float(total), record


def test_tasks_stand_in_the_order_of_the_loss():
    losses = TaskLosses({"b": "mse", "a": "mse"}, {"b": 2.0, "a": 0.5})
    losses.output_names = ["a", "b"]
    total, record = evaluate(losses, Y, P)
    assert losses.task_names == ["b", "a"]
    assert losses.task_weights == [2.0, 0.5]
    np.testing.assert_allclose(record.losses[0], mse("b"), rtol=1e-6)
    np.testing.assert_allclose(record.losses[1], mse("a"), rtol=1e-6)
    np.testing.assert_allclose(total, 2 * mse("b") + 0.5 * mse("a"), rtol=1e-6)


def test_sample_weights_reach_the_record():
    losses = TaskLosses({"a": "mse", "b": "mse"}, output_names=["a", "b"])
    weights = {"a": np.eye(6)[0] * 6, "b": np.ones(6)}
    _, record = evaluate(losses, Y, P, weights)
    np.testing.assert_allclose(record.losses[0], mse("a", 0), rtol=1e-5)


def test_listed_outputs_find_their_sample_weights_by_name():
    losses = TaskLosses(["mse", "mse"], output_names=["a", "b"])
    weights = {"b": np.ones(6), "a": np.eye(6)[0] * 6}
    y_true, y_pred = [Y["a"], Y["b"]], [P["a"], P["b"]]
    _, record = evaluate(losses, y_true, y_pred, weights)
    np.testing.assert_allclose(record.losses[0], mse("a", 0), rtol=1e-5)
    with pytest.raises(ValueError, match=r"`sample_weight` has entries \['c'"):
        losses(y_true, y_pred, {"c": np.ones(6)})


def test_several_losses_on_one_output_are_several_tasks():
    losses = TaskLosses(["mse", "mae"], [1.0, 0.0], output_names=["out"])
    total, record = evaluate(losses, Y["a"], P["a"])
    assert losses.task_names == ["out_mse", "out_mae"]
    np.testing.assert_allclose(total, mse("a"), rtol=1e-6)
    np.testing.assert_allclose(
        record.losses[1], np.mean(np.abs(Y["a"] - P["a"])), rtol=1e-6
    )
    names = [metric.name for metric in losses.metrics]
    assert names == [f"{name}_loss" for name in losses.task_names]


A, B = (np.array(v, "float32")[:, None] for v in ([1, 2], [3, 5]))
PAIR = [A, B]
NAMED = {"a": A, "b": B}
# Loss, outputs, names of the outputs, and the names of the tasks.
NAMES = [
    (["mse", "mse"], PAIR, None, ["mse", "mse_1"]),
    (["mse", "mae"], PAIR, None, ["mse", "mae"]),
    ("mse", PAIR, None, ["mse", "mse_1"]),
    ("mse", (A, A, B), None, ["mse", "mse_1", "mse_2"]),
    (["mse", "mse"], [A, A], ["a", "a"], ["a", "a_1"]),
    (["mse", "mse", "mae"], [A, A, B], ["a", "a", "a_1"], ["a", "a_2", "a_1"]),
    (["mse", "mse"], A, ["a"], ["a_mse", "a_mse_1"]),
    (["mse", "mse"], A, None, ["mse", "mse_1"]),
    (["mse", "mae"], A, ["a"], ["a_mse", "a_mae"]),
    ([["mse", "mae"], "mse"], PAIR, ["a", "b"], ["a_mse", "a_mae", "b"]),
    ([["mse", "mse"], None], PAIR, ["a", "b"], ["a_mse", "a_mse_1"]),
    ({"a": ["mse"] * 2, "b": "mse"}, NAMED, None, ["a_mse", "a_mse_1", "b"]),
    (
        {"x": {"a": ["mse"] * 2}, "b": "mae"},
        {"x": {"a": A}, "b": B},
        None,
        ["x/a_mse", "x/a_mse_1", "b"],
    ),
]


@pytest.mark.parametrize("loss, outputs, output_names, task_names", NAMES)
def test_every_task_has_a_name_of_its_own(
    loss, outputs, output_names, task_names
):
    losses = TaskLosses(loss, None, output_names)
    labels = keras.tree.map_structure(lambda v: v + 1, outputs)
    total, record = evaluate(losses, labels, outputs)
    assert losses.task_names == task_names
    assert [float(v) for v in record.losses.values()] == [1] * len(task_names)
    assert total == len(task_names)
    logged = [metric.name for metric in losses.metrics]
    assert logged == [f"{name}_loss" for name in task_names]


@pytest.mark.parametrize("loss, outputs, output_names, task_names", NAMES)
def test_as_stock_it_logs_what_keras_does(
    loss, outputs, output_names, task_names
):
    weights = None
    if isinstance(loss, list) and not any(map(keras.tree.is_nested, loss)):
        weights = [0.5 + i for i in range(len(loss))]
    arguments = (loss, weights)
    stock = OpenLosses(*arguments, output_names=output_names)
    ours = TaskLosses(*arguments, output_names, as_stock=True)
    labels = keras.tree.map_structure(lambda v: 2 * v + 1, outputs)
    assert float(ours(labels, outputs)) == float(stock(labels, outputs))
    found = [(m.name, float(m.result())) for m in ours.metrics]
    assert found == [(m.name, float(m.result())) for m in stock.metrics]
    # What looks at single tasks can still tell them apart.
    with ours.recording() as record:
        ours(labels, outputs)
    assert len(record.losses) == len(ours.task_names) == len(task_names)


def test_auxiliary_predictions_are_judged_by_the_same_loss():
    losses = TaskLosses({"a": "mse", "b": "mse"}, output_names=["a", "b"])
    total, record = evaluate(losses, Y, P, predictions={"b": P["a"]})
    np.testing.assert_allclose(
        record.auxiliary_losses[1], np.mean((Y["b"] - P["a"]) ** 2), rtol=1e-6
    )
    assert 0 not in record.auxiliary_losses
    # They teach, but are no part of the loss that is reported.
    np.testing.assert_allclose(total, mse("a") + mse("b"), rtol=1e-6)


def with_missing(rows, value=NAN):
    y_true = {name: labels.copy() for name, labels in Y.items()}
    y_true["a"][rows] = value
    return y_true


@pytest.mark.parametrize("missing_label", [NAN, {"a": NAN}, -99.0])
def test_the_loss_is_the_mean_over_labelled_examples(missing_label):
    value = -99.0 if missing_label == -99.0 else NAN
    losses = TaskLosses(
        {"a": "mse", "b": "mse"},
        output_names=["a", "b"],
        missing_label=missing_label,
    )
    y_true = with_missing(slice(2, None), value)
    _, record = evaluate(losses, y_true, P)
    np.testing.assert_allclose(record.losses[0], mse("a", [0, 1]), rtol=1e-5)
    np.testing.assert_allclose(record.losses[1], mse("b"), rtol=1e-5)


def test_no_label_at_all_is_exactly_zero():
    losses = TaskLosses(
        {"a": "mse", "b": "mse"}, output_names=["a", "b"], missing_label=NAN
    )
    _, record = evaluate(losses, with_missing(slice(None)), P)
    assert float(record.losses[0]) == 0.0


def test_logged_losses_are_means_over_labels_not_batches():
    losses = TaskLosses(
        {"a": "mse", "b": "mse"}, output_names=["a", "b"], missing_label=NAN
    )
    for rows in (slice(1, None), slice(None)):
        losses(with_missing(rows), P)
    losses(Y, P)
    squares = np.mean((Y["a"] - P["a"]) ** 2, axis=1)
    expected = (squares[0] + squares.sum()) / 7
    np.testing.assert_allclose(losses.metrics[0].result(), expected, rtol=1e-5)


def test_outputs_of_one_axis_leave_examples_out_too():
    """Of (batch_size,) predictions Keras makes one number."""
    y_true = {"a": np.array([1.0, NAN, 3.0], "float32"), "b": np.zeros(3)}
    y_pred = {"a": ops.array([0.0, 9.0, 1.0]), "b": ops.zeros(3)}
    losses = TaskLosses(
        {"a": "mse", "b": "mse"}, output_names=["a", "b"], missing_label=NAN
    )
    _, record = evaluate(losses, y_true, y_pred)
    np.testing.assert_allclose(record.losses[0], (1 + 4) / 2)


def test_masks_of_keras_and_missing_labels_are_one_mean():
    """Padding that is masked and labelled -1 counts once, not twice."""
    y_true = np.array([[1.0, 2, -1], [4, -1, -1]], "float32")[..., None]
    y_pred = ops.zeros((2, 3, 1))
    y_pred._keras_mask = ops.array([[True, True, False], [True, True, False]])
    losses = TaskLosses("mse", output_names=["a"], missing_label=-1)
    total, record = evaluate(losses, y_true, y_pred)
    np.testing.assert_allclose(total, (1 + 4 + 16) / 3, rtol=1e-6)
    assert float(record.labelled[0]) == 3


@pytest.mark.parametrize(
    "loss, y_true",
    [
        ({"a": "mse", "b": "mse"}, {"a": Y["a"], "bb": Y["b"]}),
        ({"a": "mse", "b": "mse"}, {"a": Y["a"]}),
        ({"a": "mse", "b": None}, {"b": Y["b"]}),
        ("mse", {"a": Y["a"]}),
        (["mse", "mse"], {"a": Y["a"], "c": Y["b"]}),
    ],
)
@pytest.mark.parametrize("as_list", [False, True])
def test_labels_of_other_outputs_are_refused(loss, y_true, as_list):
    losses = TaskLosses(loss, output_names=["a", "b"])
    message = r"`y` has entries .* are \['a', 'b'\]|labels of all .*, without"
    y_pred = list(P.values()) if as_list else P
    with pytest.raises(ValueError, match=message):
        losses(y_true, y_pred)


def test_an_output_without_a_loss_needs_no_labels():
    losses = TaskLosses({"a": "mse", "b": None}, output_names=["a", "b"])
    np.testing.assert_allclose(losses({"a": Y["a"]}, P), mse("a"), rtol=1e-6)


def test_auxiliary_losses_are_over_what_is_not_masked_there():
    """A head may pass on another mask than the task's own output."""
    y_true = np.array([[[1.0], [2], [NAN]], [[4], [5], [6]]], "float32")
    outputs = ops.zeros((2, 3, 1))
    outputs._keras_mask = ops.array([[True, True, True], [True, False, False]])
    head = ops.ones((2, 3, 1))
    losses = TaskLosses("mse", output_names=["a"], missing_label=NAN)
    _, record = evaluate(losses, y_true, outputs, predictions={"a": head})
    np.testing.assert_allclose(record.losses[0], (1 + 4 + 16) / 3, rtol=1e-6)
    expected = (0 + 1 + 9 + 16 + 25) / 5
    np.testing.assert_allclose(record.auxiliary_losses[0], expected, rtol=1e-6)
    assert float(record.labelled[0]) == 3
    assert float(record.auxiliary_labelled[0]) == 5


def test_losses_in_half_precision_join_the_others():
    losses = TaskLosses(
        [
            keras.losses.MeanSquaredError(dtype="float16"),
            keras.losses.MeanAbsoluteError(dtype="bfloat16"),
        ],
        output_names=["out"],
    )
    total, record = evaluate(losses, Y["a"], P["a"])
    expected = mse("a") + np.mean(np.abs(Y["a"] - P["a"]))
    np.testing.assert_allclose(total, expected, rtol=5e-3)
    for value in record.losses.values():
        assert keras.backend.standardize_dtype(value.dtype) == "float32"


def test_of_no_example_a_task_has_a_scalar_loss():
    """Keras makes a tensor of shape (0,), which no step can weigh."""
    losses = TaskLosses({"a": "mse", "b": "mse"}, output_names=["a", "b"])
    empty = {name: np.zeros((0, 2), "float32") for name in "ab"}
    with losses.recording() as record:
        losses(empty, empty)
    assert [tuple(v.shape) for v in record.losses.values()] == [(), ()]


def test_one_loss_of_several_outputs():
    """It trains as in Keras; no label of it can be missing."""

    def both(y_true, y_pred):
        return ops.mean(ops.square(y_true["x"] - y_pred["y"]), axis=-1)

    outputs = {"group": {"x": P["a"], "y": P["b"]}, "b": P["b"]}
    labels = {"group": {"x": Y["a"], "y": Y["b"]}, "b": Y["b"]}
    loss = {"group": both, "b": "mse"}
    losses = TaskLosses(loss, missing_label={"b": NAN})
    _, record = evaluate(losses, labels, outputs, {"b": np.ones(6)})
    expected = np.mean((Y["a"] - P["b"]) ** 2)
    assert any(np.isclose(float(v), expected) for v in record.losses.values())
    losses = TaskLosses(loss, missing_label=NAN)
    with pytest.raises(ValueError, match="has one loss for several"):
        losses(labels, outputs)


def test_loss_weights_beside_a_list_go_by_name():
    losses = TaskLosses(
        ["mse", "mse"], {"b": 2.0, "a": 0.5}, output_names=["b", "a"]
    )
    total = losses([Y["b"], Y["a"]], [P["b"], P["a"]])
    np.testing.assert_allclose(total, 2 * mse("b") + mse("a") / 2, rtol=1e-6)


def test_counts_the_labels_of_what_it_logs():
    losses = TaskLosses(
        {"a": "mse", "b": "mse"}, output_names=["a", "b"], missing_label=NAN
    )
    assert losses.num_labelled("a") is None
    losses(with_missing(slice(1, None)), P)
    assert losses.num_labelled("a") == 1
    assert losses.num_labelled("b") == len(Y["b"])
    losses.metrics[0].reset_state()
    assert losses.num_labelled("a") == 0


def test_missing_labels_of_unknown_outputs_are_refused():
    losses = TaskLosses(
        {"a": "mse", "b": "mse"},
        output_names=["a", "b"],
        missing_label={"c": 0},
    )
    with pytest.raises(ValueError, match=r"`missing_label` has entries \['c'"):
        losses(Y, P)


class TestASmallLastBatch:
    """What the documentation says of logs, of 9 rows in batches of 8."""

    def logs(self, drop_remainder=False, **settings):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(9, 3)).astype("float32")
        y = {n: rng.normal(size=(9, 1)).astype("float32") for n in "ab"}
        y["b"][8] = 100.0
        inputs = keras.Input((3,))
        tensor = keras.layers.Dense(4)(inputs)
        heads = {n: keras.layers.Dense(1, name=n)(tensor) for n in "ab"}
        model = MultiTaskModel(inputs, heads)
        frozen = keras.optimizers.SGD(0.0)
        loss = {"a": "mse", "b": "mse"}
        model.compile(frozen, loss, aggregator="sum", **settings)
        dataset = tf.data.Dataset.from_tensor_slices((x, y))
        dataset = dataset.batch(8, drop_remainder=drop_remainder)
        logs = model.fit(
            dataset, validation_data=dataset, shuffle=False, verbose=0
        ).history
        heads = {n: ops.convert_to_numpy(p) for n, p in model(x).items()}
        squares = {n: (heads[n] - y[n]) ** 2 for n in "ab"}
        return {name: value[0] for name, value in logs.items()}, squares

    @pytest.mark.slow
    def test_loss_counts_examples(self):
        logs, squares = self.logs()
        right = sum(square.mean() for square in squares.values())
        for name in ("loss", "val_loss"):
            assert logs[name] == pytest.approx(right, rel=1e-5)

    @pytest.mark.slow
    def test_on_tensorflow_task_losses_count_batches(self):
        logs, squares = self.logs()
        for name, square in squares.items():
            right = square.mean()
            if keras.backend.backend() == "tensorflow":
                right = (square[:8].mean() + square[8].mean()) / 2
            for log in (f"{name}_loss", f"val_{name}_loss"):
                assert logs[log] == pytest.approx(right, rel=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "suffix, settings",
        [
            ("mse", {"metrics": {"a": ["mse"], "b": ["mse"]}}),
            ("loss", {"missing_label": float("nan")}),
        ],
    )
    def test_what_counts_examples(self, suffix, settings):
        logs, squares = self.logs(**settings)
        for name, square in squares.items():
            for log in (f"{name}_{suffix}", f"val_{name}_{suffix}"):
                assert logs[log] == pytest.approx(square.mean(), rel=1e-5)

    @pytest.mark.slow
    def test_without_the_remainder_they_add_up(self):
        logs, squares = self.logs(drop_remainder=True)
        for name, square in squares.items():
            right = pytest.approx(square[:8].mean(), rel=1e-5)
            assert logs[f"{name}_loss"] == right
        assert logs["loss"] == pytest.approx(
            logs["a_loss"] + logs["b_loss"], rel=1e-5
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
