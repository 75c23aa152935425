import keras
import numpy as np
import pytest

from keras_mtl.layers.parts.sub_layers import LateSubLayers
from keras_mtl.layers.parts.sub_layers import build_layer
from keras_mtl.layers.parts.sub_layers import call_layer
from keras_mtl.layers.parts.sub_layers import output_shape
from keras_mtl.layers.parts.sub_layers import takes_mask
from tests.tiers import slow_except


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


@keras.saving.register_keras_serializable(package="test_sub_layers")
class Late(LateSubLayers):
    def build(self, shape):
        self.parts = [self.make_dense(3, "first"), self.make_dense(2, "second")]
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


def late_model(change):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), Late()])
    change(model)
    return model


def coarsely(model):
    # Ten steps from zero, where 127 are the default.
    quantizer = keras.quantizers.AbsMaxQuantizer(axis=0, value_range=(-10, 10))
    model.quantize(
        config=keras.quantizers.Int8QuantizationConfig(
            weight_quantizer=quantizer
        )
    )


def low_rank(model):
    for dense in model.layers[0].parts:
        dense.enable_lora(2, lora_alpha=3.0)
        dense.lora_kernel_b.assign(dense.lora_kernel_b + 0.5)


CHANGES = {
    "int8": lambda model: model.quantize("int8"),
    "int4": lambda model: model.quantize("int4"),
    "float8": lambda model: model.quantize("float8"),
    "only one": lambda model: model.quantize("int8", filters="second"),
    "config": coarsely,
    "low rank": low_rank,
    "both": lambda model: (model.quantize("int8"), low_rank(model)),
}

# Files hold LoRA weights merged into the others, which are quantized anew: each
# is off by up to half a step of about .008, and six inputs add up.
ROUNDING = {"low rank": 1e-5, "both": 0.05}


def kinds(model):
    """What variables there are, without their order."""
    return sorted(
        (v.path.split("/")[-2:], v.dtype, tuple(v.shape), v.trainable)
        for v in model.variables
    )


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("change", slow_except(CHANGES, "int8", "low rank"))
class TestChangedDenseLayers:
    @pytest.mark.slow
    def test_come_back_from_files(self, change, tmp_path):
        model = late_model(CHANGES[change])
        again = keras.Sequential.from_config(model.get_config())
        model.save(tmp_path / "model.keras")
        model.save_weights(tmp_path / "model.weights.h5")
        again.load_weights(tmp_path / "model.weights.h5")
        x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
        for one in (keras.saving.load_model(tmp_path / "model.keras"), again):
            assert kinds(one) == kinds(model)
            for y, expected in zip(one(x), model(x), strict=True):
                np.testing.assert_allclose(
                    y, expected, rtol=0, atol=ROUNDING.get(change, 0)
                )

    def test_are_in_clones_and_configurations(self, change):
        model = late_model(CHANGES[change])
        layer = model.layers[0]
        unbuilt = Late.from_config(layer.get_config())
        assert unbuilt.get_config() == layer.get_config()
        clone = keras.models.clone_model(model)
        assert kinds(clone) == kinds(model)
        policies = [part.dtype_policy.name for part in layer.parts]
        copies = clone.layers[0].parts
        assert [copy.dtype_policy.name for copy in copies] == policies


def test_plain_dense_layers_leave_no_trace():
    layer = late_model(lambda model: None).layers[0]
    assert "changed_dense" not in layer.get_config()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
