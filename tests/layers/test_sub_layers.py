import keras
import numpy as np
import pytest

from keras_mtl.layers.sub_layers import LateSubLayers
from keras_mtl.layers.sub_layers import build_layer
from keras_mtl.layers.sub_layers import call_layer
from keras_mtl.layers.sub_layers import output_shape
from keras_mtl.layers.sub_layers import takes_mask


class WithoutBuild(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_layers_without_build_have_weights_and_shapes(dtype):
    layer = WithoutBuild(dtype=dtype)
    build_layer(layer, (None, 5))
    assert [w.shape for w in layer.weights] == [(5, 3), (3,)]
    assert output_shape(layer, (None, 5)) == (None, 3)


def test_built_layers_stay_as_they_are():
    dense = keras.layers.Dense(3)
    dense.build((None, 5))
    kernel = dense.kernel
    build_layer(dense, (None, 5))
    assert dense.kernel is kernel


def test_masks_go_to_those_that_take_them():
    lstm, dense = keras.layers.LSTM(3), keras.layers.Dense(3)
    assert takes_mask(lstm) and not takes_mask(dense)
    x = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    mask = keras.ops.array([[True, True, False, False]] * 2)
    np.testing.assert_allclose(
        call_layer(lstm, x, mask), lstm(x[:, :2]), atol=1e-6
    )
    np.testing.assert_allclose(call_layer(lstm, x, None), lstm(x), atol=1e-6)
    np.testing.assert_allclose(call_layer(dense, x, mask), dense(x), atol=1e-6)


class Late(LateSubLayers):
    def build(self, shape):
        self.parts = [keras.layers.Dense(3), keras.layers.Dense(2)]
        for part in self.parts:
            part.build(shape)
        self.freeze_sub_layers()

    def call(self, inputs):
        return [part(inputs) for part in self.parts]

    def flags(self):
        return [part.trainable for part in self.parts]


def made_again(*frozen, whole=False):
    """A layer from the configuration of one with these parts frozen."""
    layer = Late()
    layer.build((None, 4))
    layer.trainable = not whole
    for place in frozen:
        layer.parts[place].trainable = False
    return Late.from_config(layer.get_config())


class TestLateSubLayers:
    def test_are_frozen_as_they_were(self):
        layer = made_again(1)
        layer.build((None, 4))
        assert layer.flags() == [True, False]

    def test_what_is_set_before_they_are_made_holds_for_all(self):
        for whole in (True, False):
            layer = made_again(1, whole=whole)
            layer.trainable = whole
            copy = Late.from_config(layer.get_config())
            for one in (layer, copy):
                one.build((None, 4))
                assert one.flags() == [whole] * 2
                assert len(one.trainable_variables) == (4 if whole else 0)

    def test_setting_it_is_as_it_is_of_layers_that_are_there(self):
        """On TensorFlow, nothing happens where it is true already."""
        there, late = made_again(1), made_again(1)
        there.build((None, 4))
        for layer in (there, late):
            layer.trainable = True
        late.build((None, 4))
        assert there.flags() == late.flags()

    def test_so_does_what_is_set_on_their_model(self):
        model = keras.Sequential([made_again(0, 1)])
        model.trainable = False
        model.trainable = True
        model.build((None, 4))
        assert model.layers[0].flags() == [True, True]

    def test_frozen_and_thawed_later(self):
        layer = made_again(0)
        layer.build((None, 4))
        layer.trainable = False
        layer.trainable = True
        assert layer.flags() == [True, True]
        assert "frozen" not in layer.get_config()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
