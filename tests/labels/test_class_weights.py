"""Class weights of single tasks."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.labels.class_weights import Judged
from keras_mtl.labels.class_weights import check_labels
from keras_mtl.labels.class_weights import class_indices
from keras_mtl.labels.class_weights import class_sample_weight
from keras_mtl.labels.class_weights import is_per_task
from keras_mtl.labels.class_weights import validate_class_weight
from keras_mtl.labels.class_weights import with_class_weight
from keras_mtl.losses import PerColumn
from keras_mtl.trainers.task_losses import TaskLosses

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# One small step is faster without a graph on TensorFlow.
QUICK = {"run_eagerly": True} if ON_TENSORFLOW else {}
WEIGHTS = {0: 0.5, 2: 4.0}
SPARSE = keras.losses.SparseCategoricalCrossentropy()
ONE_HOT = keras.losses.CategoricalCrossentropy()
BINARY = keras.losses.BinaryCrossentropy()
INDICES = np.array([[0, 1], [2, 2], [1, 0]])
HOT = np.eye(3, dtype="float32")


@pytest.mark.parametrize(
    "labels, shape, loss, expected",
    [
        (INDICES[:, 0], (None, 3), SPARSE, INDICES[:, 0]),
        (INDICES[:, :1], (None, 3), SPARSE, INDICES[:, 0]),
        (HOT[INDICES[:, 0]], (None, 3), ONE_HOT, INDICES[:, 0]),
        (INDICES, (None, 2, 3), SPARSE, INDICES),
        (INDICES[..., None], (None, 2, 3), SPARSE, INDICES),
        (HOT[INDICES], (None, 2, 3), ONE_HOT, INDICES),
        # One step, and one example: sizes do not tell.
        (INDICES[:, :1], (None, 1, 3), SPARSE, INDICES[:, :1]),
        (INDICES[:1], (None, 2, 3), SPARSE, INDICES[:1]),
        (INDICES[:2], (2, 2, 3), SPARSE, INDICES[:2]),
        (INDICES[:, 0] % 2, (None, 1), BINARY, INDICES[:, 0] % 2),
        (INDICES[:, :1] % 2, (None, 1), BINARY, INDICES[:, 0] % 2),
        (INDICES[:, 0] % 2, (None,), BINARY, INDICES[:, 0] % 2),
        (INDICES[:, :1] % 2, (None,), BINARY, INDICES[:, 0] % 2),
        (INDICES % 2, (None, 2, 1), BINARY, INDICES % 2),
        (INDICES[..., None] % 2, (None, 2, 1), BINARY, INDICES % 2),
        (
            np.moveaxis(HOT[INDICES], -1, 1),
            (None, 3, 2),
            keras.losses.CategoricalCrossentropy(axis=1),
            INDICES,
        ),
    ],
)
def test_predictions_and_losses_tell_what_labels_are(
    labels, shape, loss, expected
):
    found = class_indices("a", labels, Judged(shape, [loss]))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "labels, shape, loss, message",
    [
        (np.zeros((3, 5)), (None, 5), BINARY, "judges the 5 columns"),
        (np.zeros((3, 5)), (None, 5), keras.losses.Hinge(), "the 5 columns"),
        (np.zeros((3, 5)), (None, 4), ONE_HOT, r"\(3, 5\), pre.*\(None, 4\)"),
        (np.zeros((3, 5)), (None, 1), BINARY, r"\(3, 5\), pre.*\(None, 1\)"),
        (np.zeros(3), (None, 5, 4), SPARSE, r"labels of shape \(3,\)"),
        (np.zeros((3, 5)), None, None, "`sample_weight`"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, shape, loss, message):
    with pytest.raises(ValueError, match=rf"class_weight\['a'\].*{message}"):
        class_indices("a", labels, Judged(shape, [loss]))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 1, 2]),
        np.array([0, 1, 2], "uint8"),
        np.array([0.1, 0.9, 2.2], "float32"),
        np.array([0, 1, 2], "float16"),
    ],
    ids=["integers", "bytes", "floats", "halves"],
)
def test_one_weight_a_class(labels):
    np.testing.assert_allclose(
        class_sample_weight(labels, WEIGHTS), [0.5, 1.0, 4.0]
    )


def test_labels_that_are_no_class_weigh_one():
    missing = np.array([np.nan, -1.0, 7.0, 2.0], "float32")
    np.testing.assert_allclose(
        class_sample_weight(missing, WEIGHTS), [1, 1, 1, 4]
    )


def test_types_that_do_not_hold_every_class():
    # Cast to the type of the labels, 258 would be 2, and 2 would be true.
    small = np.array([0, 1, 2], "uint8")
    np.testing.assert_allclose(
        class_sample_weight(small, {258: 9.0}), [1, 1, 1]
    )
    truth = np.array([False, True])
    np.testing.assert_allclose(class_sample_weight(truth, {2: 9.0}), [1, 1])
    np.testing.assert_allclose(class_sample_weight(truth, {1: 9.0}), [1, 9])


def test_tells_dicts_of_tasks_from_dicts_of_classes():
    assert is_per_task({"a": WEIGHTS})
    assert is_per_task({"a": 3.0})
    assert not is_per_task(WEIGHTS)
    assert not is_per_task(None)


def test_classes_as_numpy_counts_them():
    values, counts = np.unique([0, 1, 1], return_counts=True)
    validate_class_weight(
        {"a": dict(zip(values, 1 / counts, strict=True))}, ["a"]
    )


def test_multiplies_sample_weights_of_any_rank():
    labels = {"a": np.array([[0, 1], [2, 2]])[..., None], "b": np.array([0, 1])}
    given = {"a": np.array([1.0, 2.0]), "b": np.array([[3.0], [1.0]])}
    judged = {"a": Judged((2, 2, 3), [SPARSE]), "b": Judged((2, 3), [SPARSE])}
    result = with_class_weight(
        labels, given, {"a": WEIGHTS, "b": {0: 2.0}}, None, judged
    )
    np.testing.assert_allclose(result["a"], [[0.5, 1.0], [8.0, 8.0]])
    np.testing.assert_allclose(result["b"], [6.0, 1.0])


def test_listed_labels_go_by_output_names():
    labels = [np.array([[0, 1]]), np.array([0, 1])]
    given = {"a": np.array([7.0])}
    result = with_class_weight(labels, given, {"b": {0: 2.0}}, ["a", "b"], {})
    # What has no class weights is left alone, whatever its labels are.
    assert result[0] is given["a"]
    np.testing.assert_allclose(result[1], [2.0, 1.0])


def test_names_that_no_label_has_are_refused():
    zeros = np.zeros(2)
    with pytest.raises(ValueError, match=r"entries \['typo'\]"):
        with_class_weight({"a": zeros}, None, {"typo": {0: 1.0}}, None, {})
    with pytest.raises(ValueError, match="goes by the names of outputs"):
        with_class_weight([zeros], None, {"a": {0: 1.0}}, None, {})
    with pytest.raises(ValueError, match="1 arrays of labels"):
        with_class_weight([zeros], None, {"a": {0: 1.0}}, ["a", "b"], {})
    with pytest.raises(ValueError, match=r"sample_weight.*\['typo'\]"):
        given = {"typo": zeros}
        with_class_weight([zeros], given, {"a": {0: 1.0}}, ["a"], {})


def test_classes_that_no_prediction_has_are_refused():
    labels = {"a": np.array([0, 1])}
    judged = {"a": Judged((None, 3), [SPARSE])}
    with pytest.raises(ValueError, match=r"class 3, but 'a' predicts 3"):
        with_class_weight(labels, None, {"a": {3: 2.0}}, None, judged)
    ignoring = keras.losses.SparseCategoricalCrossentropy(ignore_class=255)
    judged = {"a": Judged((None, 3), [ignoring])}
    with_class_weight(labels, None, {"a": {255: 0.0}}, None, judged)


@pytest.mark.parametrize(
    "class_weight, message",
    [
        ({"c": {0: 1.0}}, r"entries \['c'\] that are no outputs"),
        ({"a": 2.0}, "should be a dict from class"),
        ({"a": {}}, "should be a dict from class"),
        ({"a": {"0": 1.0}}, "class indices"),
        ({"a": {0: -1.0}}, "from 0 up"),
        ({"a": {0: float("nan")}}, "from 0 up"),
        ({"a": {0: float("inf")}}, "from 0 up"),
        ({"a": {True: 1.0}}, "class indices"),
    ],
)
def test_mistakes(class_weight, message):
    with pytest.raises(ValueError, match=message):
        validate_class_weight(class_weight, ["a", "b"])


@pytest.mark.parametrize(
    "labels, shape, loss",
    [
        (np.array([0.0, 2.0, 1.0]), (None, 3), SPARSE),
        (np.array([0.1 * 30, np.nan]), (None, 4), SPARSE),
        # Smoothed, but one-hot.
        (HOT * 0.9 + 0.03, (None, 3), ONE_HOT),
        (HOT * 0.9 + 0.03, None, None),
        (HOT, (None, 3), keras.losses.MeanSquaredError()),
        (np.full((3, 2), np.nan), (None, 2), keras.losses.MeanSquaredError()),
        (np.array([["a"], ["b"]]), (None, 1), BINARY),
        (keras.KerasTensor((None, 1)), (None, 1), BINARY),
    ],
)
def test_labels_that_may_be_classes(labels, shape, loss):
    check_labels("a", WEIGHTS, labels, Judged(shape, [loss]))


@pytest.mark.parametrize(
    "labels, shape, loss",
    [
        (np.array([0.0, 0.4]), (None, 3), SPARSE),
        (np.array([[0.0], [0.4]]), (None, 1), BINARY),
        (np.array([[0.0], [0.4]]), None, None),
        (np.array([[0.0, 0.4]]), (None, 2, 3), SPARSE),
        (np.array([[[0.0], [0.4]]]), (None, 2, 1), BINARY),
        (keras.ops.array([[0.0, 0.4]], "bfloat16"), (None, 2, 3), SPARSE),
    ],
)
def test_amounts_are_no_classes(labels, shape, loss):
    pattern = r"class_weight\['a'\].* 1 of 2 are no whole .*like 0\.[34]"
    with pytest.raises(ValueError, match=pattern):
        check_labels("a", WEIGHTS, labels, Judged(shape, [loss]))
    with pytest.raises(ValueError, match=" 1 of 2 are no whole"):
        check_labels("a", WEIGHTS, labels, Judged(shape, [loss]), -1.5)
    values = np.array(keras.ops.convert_to_numpy(labels), "float32")
    values[values != 0] = -1.5
    check_labels("a", WEIGHTS, values, Judged(shape, [loss]), -1.5)


# -- in a model ---------------------------------------------------------------

STEPS = 5
CLASSES = {"tag": {0: 2.0, 2: 0.25}, "flag": {1: 3.0}, "kind": {1: 0.0, 2: 5.0}}


class Tagger(MultiTaskModel):
    """A class a step, a yes or no a step, and a class an example."""

    def __init__(self, as_list: bool = False):
        super().__init__()
        self.as_list = as_list
        self.shared = layers.Dense(6, "tanh")
        self.tag = layers.Dense(3, "softmax", name="tag")
        self.flag = layers.Dense(1, "sigmoid", name="flag")
        self.kind = layers.Dense(3, "softmax", name="kind")
        self.pool = layers.GlobalAveragePooling1D()

    def call(self, inputs):
        z = self.shared(inputs)
        found = {
            "tag": self.tag(z),
            "flag": self.flag(z),
            "kind": self.kind(self.pool(z)),
        }
        return list(found.values()) if self.as_list else found


def make_tagger(form: str) -> MultiTaskModel:
    keras.utils.set_random_seed(0)
    if form == "subclassed":
        return Tagger()
    inputs = keras.Input((None, 4))
    return MultiTaskModel(inputs, Tagger(form == "list").call(inputs))


def tagged(rows: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, STEPS, 4)).astype("float32")
    y = {
        "tag": rng.integers(0, 3, (rows, STEPS)),
        "flag": rng.integers(0, 2, (rows, STEPS)),
        "kind": rng.integers(0, 3, (rows, 1)),
    }
    return x, y


def weighted_losses(
    y: dict[str, np.ndarray], predictions: dict[str, np.ndarray]
) -> dict[str, float]:
    """The mean over labels of weight times cross-entropy, in float64."""
    losses = {}
    for name, labels in y.items():
        labels = labels[:, 0] if name == "kind" else labels
        chances = np.asarray(predictions[name], "float64")
        if name == "flag":
            chances = np.concatenate([1 - chances, chances], axis=-1)
        chosen = np.take_along_axis(chances, labels[..., None], -1)[..., 0]
        weights = np.vectorize(lambda c: CLASSES[name].get(c, 1.0))(labels)
        losses[name] = np.mean(-np.log(chosen) * weights)
    return losses


@pytest.mark.slow
@pytest.mark.parametrize(
    "form, aggregator, rows",
    [
        ("dict", None, STEPS),
        ("list", "pcgrad", 1),
        ("subclassed", None, 1),
        ("subclassed", "pcgrad", STEPS),
        ("list", None, 3),
    ],
)
def test_integer_labels_of_sequences(form, aggregator, rows):
    model = make_tagger(form)
    losses = [SPARSE, BINARY, SPARSE]
    model.compile(
        keras.optimizers.SGD(0.0),
        losses if form == "list" else dict(zip(CLASSES, losses, strict=True)),
        aggregator=aggregator,
        **QUICK,
    )
    x, y = tagged(rows)
    given = list(y.values()) if form == "list" else y
    logs = model.train_on_batch(
        x, given, class_weight=CLASSES, return_dict=True
    )
    predictions = model.predict(x, verbose=0)
    if form == "list":
        predictions = dict(zip(CLASSES, predictions, strict=True))
    for name, expected in weighted_losses(y, predictions).items():
        np.testing.assert_allclose(logs[f"{name}_loss"], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 3, STEPS])
@pytest.mark.parametrize("by_name", [False, True])
def test_classes_of_the_only_output_need_no_name(rows, by_name):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, 4))
    outputs = layers.Dense(3, "softmax", name="tag")(inputs)
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.0),
        [SPARSE, SPARSE],
        weighting="uncertainty",
        **QUICK,
    )
    x, y = tagged(rows)
    class_weight = {"tag": CLASSES["tag"]} if by_name else CLASSES["tag"]
    logs = model.train_on_batch(
        x, y["tag"], class_weight=class_weight, return_dict=True
    )
    labels = {"tag": y["tag"]}
    predictions = {"tag": model.predict(x, verbose=0)}
    expected = weighted_losses(labels, predictions)["tag"]
    np.testing.assert_allclose(logs["loss"], 2 * expected, rtol=1e-5)


@pytest.mark.slow
def test_in_a_compiled_step_of_a_data_set():
    model = make_tagger("subclassed")
    model.compile(
        keras.optimizers.SGD(0.0),
        dict(zip(CLASSES, [SPARSE, BINARY, SPARSE], strict=True)),
        weighted_metrics={"tag": ["accuracy"], "flag": ["accuracy"]},
        aggregator="sum",
    )
    x, y = tagged(4)
    # Those of another output do not touch labels that have none.
    by_class = {"tag": CLASSES["tag"], "kind": CLASSES["kind"]}
    fit = {"batch_size": 4, "verbose": 0}
    logs = model.fit(x, y, class_weight=by_class, **fit).history
    predictions = model.predict(x, verbose=0)
    expected = weighted_losses(y, predictions)
    for name in by_class:
        np.testing.assert_allclose(
            logs[f"{name}_loss"], expected[name], rtol=1e-5
        )
    weights = np.vectorize(lambda c: by_class["tag"].get(c, 1.0))(y["tag"])
    hits = np.argmax(predictions["tag"], axis=-1) == y["tag"]
    np.testing.assert_allclose(
        logs["tag_accuracy"],
        np.sum(hits * weights) / np.sum(weights),
        rtol=1e-5,
    )
    hits = (predictions["flag"][..., 0] > 0.5) == y["flag"]
    np.testing.assert_allclose(logs["flag_accuracy"], np.mean(hits), rtol=1e-5)
    # Validation has no class weights.
    plain = model.evaluate(x, y, verbose=0, return_dict=True)
    chosen = np.take_along_axis(predictions["tag"], y["tag"][..., None], -1)
    np.testing.assert_allclose(
        plain["tag_loss"], np.mean(-np.log(chosen)), rtol=1e-5
    )


def train_on(losses: Any, head: Any, labels: Any, **arguments: Any) -> float:
    """The loss of a task `a` with class weights in one training step."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((STEPS, 4))
    outputs = {
        "a": layers.Identity(name="a")(head(inputs)),
        "b": layers.Dense(1, name="b")(inputs),
    }
    model = MultiTaskModel(inputs, outputs)
    compile_loss = {"a": losses, "b": "mse"}
    model.compile(keras.optimizers.SGD(0.0), compile_loss, **QUICK, **arguments)
    x = np.random.default_rng(0).normal(size=(len(labels), STEPS, 4))
    y = {"a": labels, "b": np.zeros((len(labels), STEPS, 1))}
    by_class = {"a": {0: 1.0, 1: 4.0}}
    logs = model.train_on_batch(
        x.astype("float32"), y, class_weight=by_class, return_dict=True
    )
    prediction = model.predict(x.astype("float32"), verbose=0)["a"]
    return float(logs["a_loss"]), prediction.astype("float64")


@pytest.mark.parametrize("missing_label", [None, -1])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_predictions_of_one_axis(shape, missing_label):
    def head(inputs):
        z = layers.Dense(1, "sigmoid")(layers.Flatten()(inputs))
        return layers.Reshape(())(z)

    labels = np.array([0, 1, 1, 0])
    loss, chances = train_on(
        "binary_crossentropy",
        head,
        np.reshape(labels, shape),
        missing_label=missing_label,
    )
    terms = -np.log(np.where(labels, chances, 1 - chances))
    np.testing.assert_allclose(loss, np.mean(terms * (1 + 3 * labels)), 1e-5)


def test_missing_labels_of_a_sequence_have_no_class():
    labels = np.random.default_rng(2).integers(-1, 2, (4, STEPS))
    loss, chances = train_on(
        "binary_crossentropy",
        layers.Dense(1, "sigmoid"),
        labels[..., None],
        missing_label=-1,
    )
    chances = chances[..., 0]
    terms = -np.log(np.where(labels == 1, chances, 1 - chances))
    terms = terms * np.where(labels == 1, 4.0, 1.0)
    np.testing.assert_allclose(loss, np.mean(terms[labels >= 0]), rtol=1e-5)


def mean_of_all(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred))


def mean_over_steps(y_true, y_pred):
    losses = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
    return keras.ops.mean(losses, axis=-1)


@pytest.mark.parametrize(
    "loss, head, shape, message",
    [
        (mean_of_all, layers.Dense(1), (5, STEPS, 1), r"values of shape \(\)"),
        (
            mean_over_steps,
            layers.Dense(3, "softmax"),
            (5, STEPS),
            r"\(5, 5\) one by one, but .*'mean_over_steps'.* \(5,\)",
        ),
        (
            "binary_crossentropy",
            layers.Dense(7, "sigmoid"),
            (5, STEPS, 7),
            "judges the 7 columns",
        ),
    ],
)
def test_losses_that_cannot_be_weighted_are_refused(loss, head, shape, message):
    # As many examples as steps: broadcast, it would pass.
    with pytest.raises(ValueError, match=rf"class_weight\['a'\].*{message}"):
        train_on(loss, head, np.ones(shape, "int32"))


def test_other_predictions_than_the_weights_were_made_for_are_refused():
    losses = TaskLosses({"a": SPARSE}, output_names=["a"])
    flat = {"a": np.full((2, 3), 1 / 3, "float32")}
    losses({"a": np.zeros(2)}, flat)
    assert losses.judged()["a"].shape == (2, 3)
    losses.expect_class_weight(["a"])
    steps = {"a": np.full((2, 4, 3), 1 / 3, "float32")}
    with pytest.raises(ValueError, match="another number of axes"):
        losses({"a": np.zeros((2, 4))}, steps, {"a": np.ones((2, 4))})
    losses({"a": np.zeros((2, 4))}, steps, {"a": np.ones((2, 4))})


@pytest.mark.parametrize(
    "labels",
    [None, HOT * 0.9, HOT + 1, np.zeros((3, 3)), np.ones((3, 1)), np.ones(3)],
)
def test_squared_errors_are_for_one_hot_arrays_alone(labels):
    judged = Judged((None, 3), [keras.losses.MeanSquaredError()])
    with pytest.raises(ValueError, match="'a', 'mean_squared_error', is for"):
        check_labels("a", WEIGHTS, labels, judged)


def two_kinds(cls: type, loss: Any = "mse") -> MultiTaskModel:
    """A class an example, and an amount."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    shared = layers.Dense(3)(inputs)
    outputs = {
        "kind": layers.Dense(3, "softmax", name="kind")(shared),
        "amount": layers.Dense(1, name="amount")(shared),
    }
    model = cls(inputs, outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "amount": loss}
    model.compile("sgd", losses, **QUICK)
    return model


REGRESSIONS = [
    "mse",
    "mean_absolute_error",
    keras.losses.mean_absolute_percentage_error,
    keras.losses.MeanSquaredLogarithmicError(),
    "huber",
    keras.losses.LogCosh(),
    keras.losses.CosineSimilarity(),
    "poisson",
    ["mse", keras.losses.Huber(0.5)],
    PerColumn("mse"),
]


@pytest.mark.parametrize("loss", REGRESSIONS, ids=range(len(REGRESSIONS)))
def test_losses_of_regression_have_no_classes(loss):
    model = two_kinds(MultiTaskModel, loss)
    x = np.ones((4, 4), "float32")
    y = {"kind": np.arange(4) % 3, "amount": np.full((4, 1), 2.0)}
    pattern = r"`class_weight\['amount'\]` .* loss of 'amount', .*regression"
    with pytest.raises(ValueError, match=pattern):
        model.train_on_batch(x, y, class_weight={"amount": {0: 1.0, 1: 9.0}})
    model.train_on_batch(x, y, class_weight={"kind": {0: 1.0, 1: 9.0}})


def test_one_column_may_have_two_classes_and_a_squared_error():
    model = two_kinds(MultiTaskModel, "mse")
    x = np.ones((4, 4), "float32")
    y = {"kind": np.arange(4) % 3, "amount": np.float32([[0], [1], [1], [0]])}
    model.get_layer("amount").set_weights([np.zeros((3, 1)), np.zeros(1)])
    weights = {"amount": {0: 1.0, 1: 9.0}}
    logs = model.train_on_batch(x, y, class_weight=weights, return_dict=True)
    np.testing.assert_allclose(logs["amount_loss"], 9 * 2 / 4, rtol=1e-6)


def test_labels_are_looked_at_in_every_fit():
    def loss(y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    model = two_kinds(MultiTaskModel, loss)
    x = np.ones((4, 4), "float32")
    whole = {"kind": np.arange(4) % 3, "amount": np.ones((4, 1))}
    others = {**whole, "amount": np.full((4, 1), 0.4)}
    arguments = {"class_weight": {"amount": {1: 9.0}}, "verbose": 0}
    for y, passes in ((others, 0), (whole, 1), (others, 0), (whole, 1)):
        if passes:
            model.fit(x, y, **arguments)
            continue
        with pytest.raises(ValueError, match="'amount' .*4 of 4 are no whole"):
            model.fit(x, y, **arguments)
    # Of what has no class weights, labels are what they are.
    model.fit(x, others, class_weight={"kind": {1: 9.0}}, verbose=0)


def test_one_output_that_is_all_keras_does_as_keras_does():
    x = np.ones((4, 4), "float32")
    y = np.array([0.2, 1.4, 0.0, 1.0], "float32")[:, None]
    logs = []
    for cls in (keras.Model, MultiTaskModel):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        model = cls(inputs, layers.Dense(1, name="amount")(inputs))
        model.compile("sgd", "mse")
        weights = {0: 1.0, 1: 9.0}
        logs.append(model.fit(x, y, class_weight=weights, verbose=0).history)
    assert logs[0] == logs[1]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
