import keras
import numpy as np
import pytest

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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
