import keras
import numpy as np
import pytest

from keras_mtl.layers.parts.mixing_weights import MixingWeights
from keras_mtl.layers.parts.mixing_weights import mix
from keras_mtl.layers.parts.mixing_weights import mix_rows
from keras_mtl.layers.parts.mixing_weights import share_rest
from tests.arrays import numpy

START = np.array([0.5, -0.25, 2.0], "float32")
SLOPES = np.array([1.0, -3.0, 0.5], "float32")


class Linear(keras.layers.Layer):
    """Its output is linear in its weights, so their gradient is known."""

    def __init__(self, multiplier=1.0, regularizer=None, constraint=None):
        super().__init__()
        self.arguments = regularizer, constraint, multiplier

    def build(self, input_shape):
        self.mixing = MixingWeights(
            self,
            "weights",
            (3,),
            lambda shape, dtype: keras.ops.cast(START, dtype),
            *self.arguments,
        )

    def call(self, inputs):
        return keras.ops.sum(inputs * self.mixing.tensor(), axis=-1)


def step(optimizer, steps=1, **arguments) -> np.ndarray:
    """Weights after steps down a loss whose gradient is SLOPES."""
    layer = Linear(**arguments)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    model.compile(optimizer, loss=lambda y, prediction: prediction)
    x = np.tile(SLOPES, (4, 1))
    model.fit(x, np.zeros(4), epochs=steps, batch_size=4, verbose=0)
    return layer.mixing.numpy()


def test_start_and_forward_pass_know_no_multiplier():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    for multiplier in (1.0, 0.5, 100.0, 49.0):
        layer = Linear(multiplier)
        y = layer(x)
        np.testing.assert_allclose(numpy(y), x @ START, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.mixing.numpy(), START, rtol=1e-6)
        np.testing.assert_allclose(
            layer.get_weights()[0], START / multiplier, rtol=1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(1e-3),
        lambda: keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.Adam(1e-3),
        # What it clips is the gradient of the weights, not one of 100 times.
        lambda: keras.optimizers.SGD(1e-3, global_clipnorm=5.0),
    ],
)
def test_weights_move_so_many_times_as_far(optimizer):
    once = step(optimizer(), steps=3) - START
    often = step(optimizer(), steps=3, multiplier=100.0) - START
    assert np.abs(once).min() > 1e-4
    np.testing.assert_allclose(often, 100.0 * once, rtol=1e-3, atol=1e-6)


def test_sgd_takes_the_step_that_it_should():
    often = step(keras.optimizers.SGD(1e-3), multiplier=100.0)
    np.testing.assert_allclose(often, START - 0.1 * SLOPES, rtol=1e-5)


def test_regularizer_sees_the_weights():
    layer = Linear(100.0, keras.regularizers.L2(0.5))
    layer.build((None, 3))
    expected = 0.5 * np.sum(START.astype("float64") ** 2)
    np.testing.assert_allclose(numpy(layer.losses[0]), expected, rtol=1e-6)
    one, often = (
        step(
            keras.optimizers.SGD(1e-3),
            regularizer=keras.regularizers.L2(0.5),
            multiplier=multiplier,
        )
        for multiplier in (1.0, 100.0)
    )
    np.testing.assert_allclose(one, START - 1e-3 * (SLOPES + START), rtol=1e-5)
    np.testing.assert_allclose(often, START - 0.1 * (SLOPES + START), rtol=1e-4)


@pytest.mark.parametrize("multiplier", [1.0, 100.0])
def test_constraint_sees_the_weights(multiplier):
    after = step(
        keras.optimizers.SGD(1e-3),
        constraint=keras.constraints.MaxNorm(0.7, axis=0),
        multiplier=multiplier,
    )
    np.testing.assert_allclose(np.linalg.norm(after), 0.7, rtol=1e-4)


def test_mix_is_a_weighted_sum():
    rng = np.random.default_rng(0)
    tensors = rng.normal(size=(3, 2, 4, 5))
    for weights in (rng.normal(size=3), rng.normal(size=(3, 5))):
        mixed = mix(
            keras.ops.cast(weights, "float32"),
            [keras.ops.cast(tensor, "float32") for tensor in tensors],
        )
        expected = np.zeros((2, 4, 5))
        for index, channel in np.ndindex(3, 5):
            weight = (
                weights[index] if weights.ndim == 1 else weights[index, channel]
            )
            expected[..., channel] += weight * tensors[index][..., channel]
        np.testing.assert_allclose(numpy(mixed), expected, atol=1e-6)


def test_mix_keeps_the_type_of_the_tensors():
    weights = keras.ops.cast([0.5, 0.25], "float32")
    tensors = [keras.ops.ones((2,), "float16")] * 2
    mixed = mix(weights, tensors)
    assert keras.backend.standardize_dtype(mixed.dtype) == "float16"
    np.testing.assert_array_equal(numpy(mixed), [0.75, 0.75])


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("channels", [(), (5,)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_mix_rows_has_a_mixture_for_each_row(count, channels, dtype):
    rng = np.random.default_rng(0)
    tensors = rng.integers(-5, 5, size=(count, 2, 4, 5)).astype(dtype)
    weights = rng.normal(size=(4, count, *channels)).astype("float32")
    mixed = mix_rows(
        keras.ops.convert_to_tensor(weights),
        [keras.ops.convert_to_tensor(tensor) for tensor in tensors],
    )
    assert len(mixed) == 4
    for row, tensor in enumerate(mixed):
        expected = sum(
            np.float64(weights[row, index]) * tensors[index]
            for index in range(count)
        )
        np.testing.assert_allclose(
            numpy(tensor), expected, atol=2e-2 if dtype == "float16" else 1e-5
        )
        expected_dtype = "float32" if dtype == "int32" else dtype
        assert keras.backend.standardize_dtype(tensor.dtype) == expected_dtype


def test_mix_rows_of_unknown_sizes():
    inputs = [keras.Input((None, 3)) for _ in range(4)]

    class Mixes(keras.layers.Layer):
        def call(self, inputs):
            return mix_rows(keras.ops.eye(4), inputs)

    outputs = Mixes()(inputs)
    assert [output.shape for output in outputs] == [(None, None, 3)] * 4
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(4, 4, 2, 3)).astype("float32")
    for given, output in zip(x, model.predict(list(x), verbose=0), strict=True):
        np.testing.assert_allclose(output, given, rtol=1e-6)


def test_share_rest_has_rows_that_sum_to_one():
    np.testing.assert_allclose(
        share_rest(3, 0.9),
        [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]],
    )
    np.testing.assert_array_equal(share_rest(2, 1.0), np.eye(2))


def test_mix_of_integers_is_no_integer():
    tensors = [keras.ops.ones((2,), "int32")] * 2
    mixed = mix(keras.ops.cast([0.5, 0.25], "float32"), tensors)
    assert keras.backend.standardize_dtype(mixed.dtype) == "float32"
    np.testing.assert_array_equal(numpy(mixed), [0.75, 0.75])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
