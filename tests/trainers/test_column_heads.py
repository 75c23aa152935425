"""Which weights split into a head for each column of an output."""

import keras
import pytest
from keras import layers

from keras_mtl.trainers.column_heads import column_heads

pytestmark = pytest.mark.backend


def names(last, *, other=False):
    inputs = keras.Input((4,))
    shared = layers.Dense(3, name="shared")(inputs)
    outputs = {"labels": last(shared)}
    if other:
        outputs["other"] = layers.Dense(1)(outputs["labels"])
    model = keras.Model(inputs, outputs)
    return [v.path for v in column_heads(model, "labels", 5)]


def dense(**arguments):
    return layers.Dense(5, name="last", **arguments)


@pytest.mark.parametrize(
    "last",
    [
        dense(),
        dense(activation="sigmoid"),
        lambda x: layers.Activation("sigmoid")(dense()(x)),
        lambda x: layers.Dropout(0.1)(keras.ops.sigmoid(dense()(x))),
        lambda x: keras.Sequential([layers.Dense(7), dense()])(x),
    ],
)
def test_the_last_linear_layer_does(last):
    found = names(last)
    assert [path.split("last/")[1] for path in found] == ["kernel", "bias"]


@pytest.mark.parametrize(
    "last",
    [
        dense(activation="softmax"),
        dense(activation=lambda x: keras.ops.cumsum(x, axis=-1)),
        lambda x: layers.Softmax()(dense()(x)),
        lambda x: layers.LayerNormalization()(dense()(x)),
        lambda x: layers.Dense(5, name="twice")(x) + layers.Dense(5)(x),
    ],
)
def test_what_mixes_columns_does_not(last):
    assert names(last) == []


def test_what_another_output_needs_does_not():
    assert names(dense(), other=True) == []


def test_a_layer_used_twice_does_not():
    layer = dense()
    inputs = keras.Input((4,))
    layer(inputs)
    model = keras.Model(inputs, {"labels": layer(inputs)})
    assert column_heads(model, "labels", 5) == []


def test_other_sizes_and_models_without_a_graph_do_not():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"labels": dense()(inputs)})
    assert column_heads(model, "labels", 4) == []
    assert column_heads(model, "others", 5) == []
    assert column_heads(keras.Sequential([dense()]), "labels", 5) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
