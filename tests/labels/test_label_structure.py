"""Labels that do not look like the outputs."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.labels.label_structure import refuse_other_structure

pytestmark = pytest.mark.backend

X = np.ones((8, 4), "float32")
# Not in the order of the alphabet.
NAMES = ("second", "first")
Y = {"second": np.full((8, 1), 2.0), "first": np.full((8, 1), 1.0)}


def make_model(structure, aggregator="sum", names=NAMES):
    inputs = keras.Input((4,))
    shared = layers.Dense(3)(inputs)
    outputs = {
        name: layers.Dense(1, kernel_initializer="zeros", name=name)(shared)
        for name in names
    }
    if structure == "list":
        outputs = list(outputs.values())
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.0),
        loss=dict.fromkeys(names, "mse"),
        aggregator=aggregator,
        run_eagerly=True,
    )
    return model


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
@pytest.mark.parametrize("aggregator", [None, "sum"])
def test_listed_labels_of_a_dict_are_warned_of(aggregator, method):
    model = make_model("dict", aggregator)
    with pytest.warns(UserWarning, match=r"order \['first', 'second'\], which"):
        getattr(model, method)(X, list(Y.values()))
    # So Keras has it.
    with pytest.warns(UserWarning, match="which is not the one"):
        logs = model.test_on_batch(X, list(Y.values()), return_dict=True)
    assert (logs["first_loss"], logs["second_loss"]) == (4.0, 1.0)


@pytest.mark.parametrize(
    "structure, names, y",
    [
        ("dict", NAMES, Y),
        ("list", NAMES, list(Y.values())),
        ("dict", ("a", "b"), list(Y.values())),
    ],
)
def test_where_the_order_is_clear_nothing_is_said(structure, names, y):
    model = make_model(structure, names=names)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(X, y, verbose=0)


@pytest.mark.parametrize("aggregator", [None, "sum"])
@pytest.mark.parametrize("structure", ["dict", "list"])
@pytest.mark.parametrize(
    "y, received",
    [
        (Y["first"], r"one array of shape \(8, 1\)"),
        (np.ones((8, 2)), r"one array of shape \(8, 2\)"),
        ([Y["first"]] * 3, "a list of 3"),
    ],
)
def test_other_labels_than_of_each_output(structure, aggregator, y, received):
    model = make_model(structure, aggregator)
    message = (
        rf"`y` must have the labels of each output: .*Received: {received}"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, verbose=0)


def test_sample_weights_by_name_beside_listed_labels():
    model = make_model("dict", names=("a", "b"))
    weights = {"a": np.zeros(8), "b": np.ones(8)}
    y = list(Y.values())
    found = model.train_on_batch(X, y, sample_weight=weights, return_dict=True)
    assert (found["a_loss"], found["b_loss"]) == (0.0, 1.0)


def test_errors_of_others_are_left_alone():
    class Failing(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("of the user's own")

    class OneArray(MultiTaskModel):
        def compute_loss(self, x, y, y_pred, *args, **kwargs):
            y = {name: y[:, i : i + 1] for i, name in enumerate(NAMES)}
            return super().compute_loss(x, y, y_pred, *args, **kwargs)

    plain = make_model("dict", None)
    model = OneArray(plain.input, plain.output)
    model.compile("sgd", dict.fromkeys(NAMES, "mse"), run_eagerly=True)
    with pytest.raises(RuntimeError, match="of the user's own"):
        model.fit(X, np.ones((8, 2)), callbacks=[Failing()], verbose=0)


def test_of_what_fits_nothing_is_said():
    error = ValueError("y_true and y_pred have different structures.")
    refuse_other_structure(error, X, ["one"])
    refuse_other_structure(error, None, NAMES)
    refuse_other_structure(error, Y, NAMES)
    refuse_other_structure(error, [X, X], NAMES)
    with pytest.raises(ValueError, match="one array of shape"):
        refuse_other_structure(error, X, NAMES)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
