"""Tasks that are no outputs, where an argument goes by output."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries
from keras_mtl.losses import PerColumn
from keras_mtl.trainers.task_entries import refuse_tasks

pytestmark = pytest.mark.backend

X = np.ones((8, 4), "float32")
ONES = np.ones(8)
FITTED = ("class_weight", "sample_weight")


def fit(model: MultiTaskModel, y: dict, loss: dict, argument: str, given: dict):
    arguments = {argument: given}
    compiled = {} if argument in FITTED else arguments
    model.compile("sgd", loss, aggregator="sum", **compiled)
    fitted = arguments if argument in FITTED else {}
    model.fit(X, y, verbose=0, **fitted)


@pytest.mark.parametrize("names", [None, ["labels_0", "old"]])
@pytest.mark.parametrize(
    "argument, given, advice",
    [
        ("loss_weights", {"labels_0": 2.0}, "Schedule.*'labels_0': 0.5"),
        ("metrics", {"labels_0": ["mae"]}, "'labels' see all"),
        ("weighted_metrics", {"labels_0": ["mae"]}, "'labels' see all"),
        ("missing_label", {"labels_0": -1.0}, "all columns of 'labels'"),
        ("class_weight", {"labels_0": {0: 1.0}}, "of shape .batch_size"),
        ("sample_weight", {"labels_0": ONES}, "of shape .batch_size"),
    ],
)
def test_columns(argument, given, advice, names):
    inputs = keras.Input((4,))
    labels = layers.Dense(2, name="labels")(layers.Dense(3)(inputs))
    model = MultiTaskModel(inputs, labels)
    pattern = (
        rf"^`{argument}` has entries \['labels_0'\] that are no outputs .*task"
        rf", a column of 'labels', and `{argument}` goes by output.*{advice}"
    )
    with pytest.raises(ValueError, match=pattern):
        fit(model, np.ones((8, 2)), PerColumn("mse", names), argument, given)


@pytest.mark.parametrize(
    "argument, given, advice",
    [
        ("loss_weights", {"a": 1.0, "b": 1.0, "a_aux": 0.5}, "weight=0.5"),
        ("metrics", {"a_aux": ["mae"]}, "logged as 'a_aux_loss'"),
        ("sample_weight", {"a_aux": ONES}, "the weights of 'a'"),
        ("class_weight", {"a_aux": {0: 1.0}}, "the weights of 'a'"),
    ],
)
def test_auxiliaries(argument, given, advice):
    inputs = keras.Input((4,))
    shared = layers.Dense(3, name="shared")(inputs)
    outputs = {name: layers.Dense(1, name=name)(shared) for name in "ab"}
    model = add_self_auxiliaries(MultiTaskModel(inputs, outputs), "shared")
    y = {name: np.ones((8, 1)) for name in "ab"}
    pattern = rf"^`{argument}` has .*'a_aux'.* the auxiliary of 'a'.*{advice}"
    with pytest.raises(ValueError, match=pattern):
        fit(model, y, dict.fromkeys(y, "mse"), argument, given)


def test_what_passes():
    per_column = PerColumn("mse", ["tall", "old"])
    for given, loss, names in (
        ({"tall": 1.0}, {"tall": "mse", "labels": per_column}, None),
        ({"labels_0": 1.0}, per_column, ["labels"]),
        ({"tall": None}, per_column, ["labels"]),
        ([1.0], per_column, ["labels"]),
        ({"b_0": 1.0}, ["mse", PerColumn("mse")], ["b", "labels"]),
    ):
        refuse_tasks("loss_weights", given, loss, names)
    with pytest.raises(ValueError, match="column of 'labels'"):
        loss = ["mse", [PerColumn("mse"), "mae"]]
        refuse_tasks("metrics", {"labels_1": 1.0}, loss, ["b", "labels"])
    with pytest.raises(ValueError, match="a column of 'the output'"):
        refuse_tasks("loss_weights", {"old": 1.0}, per_column, None)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
