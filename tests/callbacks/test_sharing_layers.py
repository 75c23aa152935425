import keras
import numpy as np
import pytest

from keras_mtl.callbacks.sharing_layers import sharing_layers
from keras_mtl.callbacks.sharing_layers import sharing_matrices
from keras_mtl.callbacks.sharing_layers import shows_sharing
from keras_mtl.callbacks.sharing_layers import tag_of
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix


class Shares(keras.layers.Layer):
    """A layer with something to look at, and one such layer inside."""

    def __init__(self, titles=("use",), inner=False, **kwargs):
        super().__init__(**kwargs)
        self.titles = titles
        if inner:
            self.inner = Shares(name="inner")

    def build(self, input_shape):
        pass

    def call(self, inputs):
        return inputs

    def sharing_matrices(self):
        values = np.ones((1, 2))
        return [
            SharingMatrix(title, values, ["a"], ["x", "y"])
            for title in self.titles
        ]


def test_knows_what_shows_something():
    assert shows_sharing(Shares())
    assert not shows_sharing(keras.layers.Dense(1))


def test_finds_layers_of_nested_models_in_order():
    inner_inputs = keras.Input((2,))
    inner = keras.Model(inner_inputs, Shares(name="second")(inner_inputs))
    inputs = keras.Input((2,))
    x = Shares(inner=True, name="first")(inputs)
    x = inner(keras.layers.Dense(2)(x))
    model = keras.Sequential([keras.Model(inputs, x), Shares(name="third")])
    found = sharing_layers(model)
    assert list(found) == ["first", "second", "third"]
    assert [layer.name for layer in found.values()] == list(found)


def test_tells_layers_of_one_name_apart():
    parts = [keras.Sequential([Shares(name="stitch")]) for _ in range(2)]
    model = keras.Sequential([*parts, Shares(name="last")])
    found = sharing_layers(model)
    assert list(found) == ["stitch_1", "stitch_2", "last"]
    assert found["stitch_2"] is parts[1].layers[0]


def test_a_layer_used_twice_is_one():
    shared = Shares(name="both")
    parts = [keras.Sequential([shared]) for _ in range(2)]
    assert list(sharing_layers(keras.Sequential(parts))) == ["both"]


def test_matrices_are_named_after_layer_and_title():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            Shares(name="one"),
            Shares(["scale", "mean gate"], name="two"),
        ]
    )
    assert list(sharing_matrices(model)) == [
        "one",
        "two/scale",
        "two/mean_gate",
    ]


def test_tags_have_no_spaces():
    assert tag_of("gate use, level 0") == "gate_use_level_0"
    assert tag_of("left/high-3.5") == "left_high-3.5"


def test_what_is_not_built_has_no_matrices():
    model = keras.Sequential([Shares()])
    assert list(sharing_layers(model)) == ["shares"]
    assert sharing_matrices(model) == {}


def test_no_layer_takes_the_name_of_another():
    parts = [keras.Sequential([Shares(name="stitch")]) for _ in range(2)]
    model = keras.Sequential([*parts, Shares(name="stitch_1")])
    found = sharing_layers(model)
    assert list(found) == ["stitch_2", "stitch_3", "stitch_1"]
    assert found["stitch_1"] is model.layers[-1]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
