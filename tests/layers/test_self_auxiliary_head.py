import keras
import numpy as np
import pytest

from keras_mtl.layers import SelfAuxiliaryHead
from tests.arrays import features
from tests.arrays import numpy


@pytest.mark.parametrize(
    "features_in, arguments, parameters",
    [
        (50, dict(units=10), 510),
        (50, dict(units=10, bottleneck=8), 498),
        (200, dict(units=1), 201),
        (200, dict(units=1, pool_size=20), 11),
        (207, dict(units=1, pool_size=20), 11),
        (50, dict(units=10, pool_size=5, bottleneck=2), 10 * 2 + 2 + 20 + 10),
        (50, dict(units=10, use_bias=False), 500),
    ],
)
def test_parameter_counts_of_the_paper(features_in, arguments, parameters):
    head = SelfAuxiliaryHead(**arguments)
    head.build((None, features_in))
    assert head.count_params() == parameters
    assert head(features(3, features_in)).shape == (3, arguments["units"])


def test_plain_head_is_a_dense_layer():
    head = SelfAuxiliaryHead(4)
    x = features(5, 7)
    y = head(x)
    kernel, bias = (numpy(v) for v in head.weights)
    np.testing.assert_allclose(numpy(y), x @ kernel + bias, atol=1e-6)


def test_pooling_is_the_mean_of_groups_and_drops_the_remainder():
    head = SelfAuxiliaryHead(3, pool_size=4)
    x = features(5, 11)
    y = head(x)
    kernel, bias = (numpy(v) for v in head.weights)
    pooled = x[:, :8].reshape(5, 2, 4).mean(axis=-1)
    assert kernel.shape == (2, 3)
    np.testing.assert_allclose(numpy(y), pooled @ kernel + bias, atol=1e-6)


def test_bottleneck_is_linear_and_bounds_the_rank():
    head = SelfAuxiliaryHead(6, bottleneck=2, use_bias=False)
    x = features(20, 10)
    y = head(x)
    first, second = (numpy(v) for v in head.weights)
    np.testing.assert_allclose(numpy(y), x @ first @ second, atol=1e-5)
    assert np.linalg.matrix_rank(numpy(y), tol=1e-4) == 2


def test_temperature_divides_the_logits_before_the_activation():
    plain = SelfAuxiliaryHead(3)
    warm = SelfAuxiliaryHead(3, temperature=20.0, activation="softmax")
    x = features(5, 7)
    plain.build(x.shape)
    warm.build(x.shape)
    warm.set_weights(plain.get_weights())
    expected = keras.ops.softmax(plain(x) / 20.0)
    np.testing.assert_allclose(numpy(warm(x)), numpy(expected), atol=1e-6)


def test_keeps_the_axes_between_batch_and_features():
    head = SelfAuxiliaryHead(3, pool_size=2)
    assert head(features(2, 5, 6, 8)).shape == (2, 5, 6, 3)
    assert head.compute_output_shape((None, None, 6, 8)) == (None, None, 6, 3)
    assert head.count_params() == 4 * 3 + 3


def test_flatten_makes_one_prediction_an_example():
    head = SelfAuxiliaryHead(3, pool_size=2, flatten=True)
    assert head(features(4, 5, 6, 2)).shape == (4, 3)
    assert head.compute_output_shape((None, 5, 6, 2)) == (None, 3)
    assert head.count_params() == 30 * 3 + 3


def test_mask_goes_with_the_steps_and_not_with_a_flat_prediction():
    tokens = keras.ops.convert_to_tensor([[1, 2, 0, 0]])
    embedded = keras.layers.Embedding(5, 4, mask_zero=True)(tokens)
    kept = SelfAuxiliaryHead(3)(embedded)
    flat = SelfAuxiliaryHead(3, flatten=True)(embedded)
    np.testing.assert_array_equal(
        numpy(kept._keras_mask), [[True, True, False, False]]
    )
    assert getattr(flat, "_keras_mask", None) is None


@pytest.mark.slow
def test_works_in_any_keras_model_and_survives_a_file(tmp_path):
    inputs = keras.Input((8,))
    shared = keras.layers.Dense(6, activation="relu")(inputs)
    outputs = SelfAuxiliaryHead(
        3,
        pool_size=2,
        bottleneck=2,
        temperature=5.0,
        activation="softmax",
        kernel_regularizer="l2",
    )(shared)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    x = features(32, 8)
    model.fit(x, np.arange(32) % 3, batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        model.predict(x, verbose=0), loaded.predict(x, verbose=0)
    )
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
    assert len(loaded.layers[-1].losses) == 2


def test_layers_of_one_head_do_not_start_alike():
    head = SelfAuxiliaryHead(
        4, bottleneck=4, kernel_initializer=keras.initializers.RandomNormal()
    )
    head.build((None, 4))
    first, _, second, _ = head.get_weights()
    assert np.abs(first - second).max() > 1e-3


def test_follows_its_dtype_policy():
    head = SelfAuxiliaryHead(3, bottleneck=2, dtype="mixed_float16")
    prediction = head(features(2, 8))
    assert keras.backend.standardize_dtype(prediction.dtype) == "float16"
    assert {v.dtype for v in head.weights} == {"float32"}


@pytest.mark.parametrize("argument", ["units", "pool_size", "bottleneck"])
@pytest.mark.parametrize("value", [0, -3, 2.5, "4", True])
def test_refuses_sizes_that_are_no_positive_integers(argument, value):
    with pytest.raises(ValueError, match=f"{argument}.*an integer from 1 up"):
        SelfAuxiliaryHead(**{"units": 3, argument: value})


@pytest.mark.parametrize("argument", ["flatten", "use_bias"])
def test_refuses_flags_that_are_none(argument):
    with pytest.raises(ValueError, match=f"`{argument}`.*True or False.*'no'"):
        SelfAuxiliaryHead(3, **{argument: "no"})


def test_needs_units():
    with pytest.raises(ValueError, match="units=None"):
        SelfAuxiliaryHead(None)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "hot"])
def test_refuses_temperatures_that_are_not_positive(value):
    with pytest.raises(ValueError, match="temperature.*Received"):
        SelfAuxiliaryHead(3, temperature=value)


def test_refuses_to_pool_more_features_than_there_are():
    with pytest.raises(ValueError, match="pool_size.*at most.*is 8.*=9"):
        SelfAuxiliaryHead(3, pool_size=9).build((None, 8))


@pytest.mark.parametrize(
    "flatten, shape", [(True, (None, None, 8)), (False, (None, 4, None))]
)
def test_refuses_features_of_unknown_number(flatten, shape):
    with pytest.raises(ValueError, match="how many features.*input_shape"):
        SelfAuxiliaryHead(3, flatten=flatten).build(shape)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
