"""Columns of one output as tasks, against NumPy and against stock Keras."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries
from keras_mtl.losses import PerColumn
from keras_mtl.trainers.task_losses import TaskLosses

QUICK = {"run_eagerly": True}
ROWS, COLUMNS = 8, 3
NAMES = ["tall", "old", "kind"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 4)).astype("float32")
Y = (RNG.uniform(size=(ROWS, COLUMNS)) > 0.5).astype("float32")
P = RNG.uniform(0.1, 0.9, size=(ROWS, COLUMNS)).astype("float32")
WEIGHTS = RNG.uniform(size=(ROWS, COLUMNS)).astype("float32")


def crossentropy(y=Y, p=P, weights=None):
    """By column, in float64."""
    y, p = y.astype("float64"), p.astype("float64")
    cells = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    return np.mean(cells if weights is None else cells * weights, axis=0)


def make_model(cls=MultiTaskModel, separate=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    shared = layers.Dense(5, activation="tanh", name="shared")(inputs)
    whole = layers.Dense(COLUMNS, activation="sigmoid", name="labels")
    outputs = whole(shared)
    if separate:
        kernel, bias = whole.get_weights()
        heads = [layers.Dense(1, activation="sigmoid", name=n) for n in NAMES]
        outputs = {head.name: head(shared) for head in heads}
        for i, head in enumerate(heads):
            head.set_weights([kernel[:, i : i + 1], bias[i : i + 1]])
    return cls(inputs, outputs)


def train(model, loss, y=Y, epochs=2, **arguments):
    # Methods draw their seeds here.
    keras.utils.set_random_seed(1)
    model.compile(keras.optimizers.SGD(1.0), loss, **arguments, **QUICK)
    fit = {"epochs": epochs, "batch_size": ROWS, "verbose": 0}
    return model.fit(X, y, **fit).history


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mse", "mae"])
def test_of_a_whole_matrix_it_is_the_loss_itself(loss):
    expected = float(np.mean(keras.losses.get(loss)(Y, P)))
    found = PerColumn(loss)(Y, P)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("names", [NAMES, None])
def test_a_task_is_the_loss_of_a_column(names):
    losses = TaskLosses(
        {"labels": PerColumn("binary_crossentropy", names)},
        {"labels": 0.5},
        ["labels"],
    )
    with losses.recording() as record:
        total = losses(Y, P)
    expected = names or ["labels_0", "labels_1", "labels_2"]
    assert losses.task_names == expected
    assert losses.task_outputs == ["labels"] * COLUMNS
    assert [m.name for m in losses.metrics] == [f"{n}_loss" for n in expected]
    found = [float(record.losses[t]) for t in range(COLUMNS)]
    np.testing.assert_allclose(found, crossentropy(), rtol=1e-5)
    np.testing.assert_allclose(total, crossentropy().mean() / 2, rtol=1e-5)


@pytest.mark.parametrize("as_stock", [True, False])
def test_sample_weights_by_example_and_by_label(as_stock):
    for weights in (WEIGHTS[:, 0], WEIGHTS[:, :1], WEIGHTS):
        losses = TaskLosses(
            PerColumn("binary_crossentropy"), None, ["labels"], None, as_stock
        )
        by_label = weights[:, None] if weights.ndim == 1 else weights
        expected = crossentropy(weights=by_label).mean()
        np.testing.assert_allclose(losses(Y, P, weights), expected, rtol=1e-5)


def test_beside_other_outputs():
    losses = TaskLosses(
        {"age": "mse", "labels": PerColumn("mse", NAMES)},
        output_names=["age", "labels"],
    )
    for listed in (False, True):
        outputs = {"age": P[:, :1], "labels": P}
        labels = {"age": Y[:, :1], "labels": Y}
        if listed:
            outputs, labels = list(outputs.values()), list(labels.values())
        losses = TaskLosses(losses.given["loss"], None, ["age", "labels"])
        total = losses(labels, outputs)
        squares = np.mean((Y - P) ** 2, axis=0)
        assert losses.task_names == ["age", *NAMES]
        expected = squares[0] + squares.mean()
        np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_masks_of_time_steps_hold_for_every_column():
    predictions = keras.ops.convert_to_tensor(np.stack([P, P]))
    labels = np.stack([Y, 1 - Y])
    mask = np.zeros((2, ROWS), bool)
    mask[0, :4] = True
    keras.src.backend.set_keras_mask(predictions, keras.ops.array(mask))
    losses = TaskLosses(PerColumn("binary_crossentropy", NAMES), None, ["x"])
    expected = crossentropy(Y[:4], P[:4]).mean()
    np.testing.assert_allclose(losses(labels, predictions), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("aggregator", [None, "sum"])
def test_trains_as_stock_keras_with_the_loss_itself(aggregator):
    stock = make_model(keras.Model)
    metrics = {"metrics": ["binary_accuracy"]}
    expected = train(stock, "binary_crossentropy", **metrics)
    model = make_model()
    loss = PerColumn("binary_crossentropy", NAMES)
    logs = train(model, loss, aggregator=aggregator, **metrics)
    for name in ("loss", "binary_accuracy"):
        np.testing.assert_allclose(logs[name], expected[name], rtol=1e-5)
    for ours, theirs in zip(
        model.get_weights(), stock.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    extra = {f"{name}_loss" for name in NAMES} | {"gradient_conflict"}
    assert set(logs) - set(expected) == (extra if aggregator else set())
    assert model.predict(X, verbose=0).shape == (ROWS, COLUMNS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "methods",
    [
        {"aggregator": "pcgrad"},
        {"aggregator": "pcgrad", "representation": "shared"},
        {"aggregator": "mgda", "weighting": "dynamic_weight_average"},
    ],
    ids=str,
)
def test_trains_as_separate_outputs(methods):
    model, separate = make_model(), make_model(separate=True)
    logs = train(model, PerColumn("binary_crossentropy", NAMES), **methods)
    expected = train(
        separate,
        dict.fromkeys(NAMES, "binary_crossentropy"),
        {name: Y[:, i : i + 1] for i, name in enumerate(NAMES)},
        loss_weights=dict.fromkeys(NAMES, 1 / COLUMNS),
        **methods,
    )
    assert model.task_names == NAMES
    for name, values in expected.items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-5)
    weights = zip(
        model.get_layer("shared").get_weights(),
        separate.get_layer("shared").get_weights(),
        strict=True,
    )
    for ours, theirs in weights:
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.slow
def test_missing_labels_of_single_columns():
    y = Y.copy()
    y[:5, 0] = np.nan
    model = make_model()
    p = model.predict(X, verbose=0)
    logs = train(
        model,
        PerColumn("binary_crossentropy", NAMES),
        y,
        epochs=1,
        aggregator="sum",
        missing_label=float("nan"),
    )
    known = [5, 0, 0]
    expected = [
        crossentropy(Y[start:], p[start:])[i] for i, start in enumerate(known)
    ]
    found = [logs[f"{name}_loss"][0] for name in NAMES]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"][0], np.mean(expected), rtol=1e-5)


@pytest.mark.slow
def test_is_saved_with_the_model(tmp_path):
    model = make_model()
    loss = PerColumn(
        keras.losses.BinaryCrossentropy(label_smoothing=0.1), NAMES
    )
    train(model, loss, epochs=1, aggregator="pcgrad")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.task_names == NAMES
    assert loaded.loss.get_config()["names"] == NAMES
    found = loaded.evaluate(X, Y, return_dict=True, verbose=0)
    expected = model.evaluate(X, Y, return_dict=True, verbose=0)
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


@pytest.mark.parametrize("loss", ["mse", keras.losses.mean_squared_error])
def test_configurations(loss):
    config = keras.losses.serialize(PerColumn(loss, NAMES, name="own"))
    again = keras.losses.deserialize(config)
    assert again.names == NAMES and again.name == "own"
    np.testing.assert_allclose(again(Y, P), np.mean((Y - P) ** 2), rtol=1e-6)


@pytest.mark.slow
def test_auxiliaries_judge_columns_too():
    model = add_self_auxiliaries(make_model(), "shared")
    logs = train(model, PerColumn("mse", NAMES), aggregator="pcgrad")
    assert {f"{name}_aux_loss" for name in NAMES} <= set(logs)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: PerColumn(3), "Could not interpret|must be a loss"),
        (lambda: PerColumn("cosine_similarity"), "must judge a column by"),
        (
            lambda: PerColumn(keras.losses.CategoricalCrossentropy(name="c")),
            "must judge a column by",
        ),
        (
            lambda: PerColumn(keras.losses.KLDivergence(name="mine")),
            "must judge a column by",
        ),
        (lambda: PerColumn("mse", ["a", "a"]), "list of different strings"),
        (lambda: PerColumn("mse", "abc"), "list of different strings"),
        (lambda: PerColumn("mse", ["a"])(Y, P), "3 columns of the output"),
        (
            lambda: train(make_model(), PerColumn("mse"), Y[:, :2]),
            r"labels of shape \(8, 2\)",
        ),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
