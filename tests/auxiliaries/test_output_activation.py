import keras
import pytest
from keras import layers

from keras_mtl.auxiliaries.output_activation import output_activation

pytestmark = pytest.mark.backend


def tower(**kwargs) -> keras.Model:
    inputs = keras.Input((8,))
    hidden = layers.Dense(5, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(3, **kwargs)(hidden))


def two_outputs() -> keras.Model:
    inputs = keras.Input((8,))
    return keras.Model(
        inputs,
        [
            layers.Dense(3, activation="relu")(inputs),
            layers.Dense(3, activation="sigmoid")(inputs),
        ],
    )


@keras.saving.register_keras_serializable(package="keras_mtl_tests")
class Unknown(layers.Layer):
    def call(self, inputs):
        return inputs * inputs


VECTOR = {
    "dense": (layers.Dense(3), "linear"),
    "dense with activation": (layers.Dense(3, activation="tanh"), "tanh"),
    "activation layer": (layers.Activation("sigmoid"), "sigmoid"),
    "softmax layer": (layers.Softmax(), "softmax"),
    "softmax over the last axis": (layers.Softmax(axis=1), "softmax"),
    "operation": (keras.ops.sigmoid, "sigmoid"),
    "softmax operation": (keras.ops.softmax, "softmax"),
    "activation function": (keras.activations.softmax, "softmax"),
    "nested model": (tower(activation="softmax"), "softmax"),
    "nested linear model": (tower(), "linear"),
    "one of several outputs": (lambda x: two_outputs()(x)[1], "sigmoid"),
    "sequential": (
        keras.Sequential([layers.Input((8,)), layers.Dense(3, "sigmoid")]),
        "sigmoid",
    ),
    "unknown layer": (Unknown(), None),
    "sum": (lambda x: x + x, None),
    "lambda": (layers.Lambda(lambda x: x), None),
}


@pytest.mark.parametrize("name", VECTOR)
def test_of_a_vector(name):
    make, expected = VECTOR[name]
    activation = output_activation(make(keras.Input((8,))))
    assert activation is (expected and keras.activations.get(expected))


@pytest.mark.parametrize(
    "after",
    [
        layers.Activation("linear", dtype="float32"),
        layers.Identity(),
        layers.Dropout(0.5),
        layers.Reshape((1, 3)),
        layers.Flatten(),
        lambda x: keras.ops.cast(x, "float16"),
        lambda x: keras.ops.reshape(x, (-1, 3)),
    ],
)
def test_is_seen_through_what_only_moves_values(after):
    softmax = layers.Dense(3, activation="softmax")(keras.Input((8,)))
    assert output_activation(after(softmax)) is keras.activations.softmax


def test_of_sequences_and_images():
    steps = keras.Input((4, 8))
    softmax = keras.activations.softmax
    dense = layers.Dense(3, activation="softmax")
    assert output_activation(layers.TimeDistributed(dense)(steps)) is softmax
    nested = tower(activation="softmax")
    assert output_activation(layers.TimeDistributed(nested)(steps)) is softmax
    image = layers.Conv2D(3, 1, activation="softmax")(keras.Input((5, 5, 2)))
    pooled = layers.GlobalAveragePooling2D()(image)
    assert output_activation(image) is softmax
    assert output_activation(pooled) is softmax


def test_unknown_for_softmax_over_another_axis_and_for_recurrent_layers():
    steps = keras.Input((4, 8))
    assert output_activation(layers.Softmax(axis=1)(steps)) is None
    assert output_activation(keras.ops.softmax(steps, axis=1)) is None
    assert output_activation(layers.LSTM(3)(steps)) is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
