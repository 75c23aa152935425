import keras
import numpy as np
import pytest

from keras_mtl.layers.parts.copies import clone_initializer
from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import make_layers
from keras_mtl.layers.parts.copies import serialize_layers

NAMES = ["left", "right", "a/b"]


def kernels(layers, width=4) -> list[np.ndarray]:
    x = np.ones((2, width), "float32")
    for layer in layers:
        layer(x)
    return [keras.ops.convert_to_numpy(layer.weights[0]) for layer in layers]


def all_differ(arrays) -> bool:
    return all(
        not np.allclose(a, b)
        for i, a in enumerate(arrays)
        for b in arrays[i + 1 :]
    )


@pytest.mark.parametrize("seed", [None, 7])
def test_copies_of_a_layer_have_weights_of_their_own(seed):
    given = keras.layers.Dense(
        3,
        activation="relu",
        kernel_initializer=keras.initializers.HeNormal(seed=seed),
    )
    layers = make_layers("tower", given, NAMES)
    assert all_differ(kernels(layers))
    assert not given.built
    assert [layer.name for layer in layers] == ["left", "right", "a_b"]
    assert all(layer.activation is keras.activations.relu for layer in layers)


def test_copies_of_a_built_layer_start_anew():
    given = keras.layers.Dense(3)
    given.build((None, 4))
    layers = make_layers("tower", given, NAMES)
    before = keras.ops.convert_to_numpy(given.kernel)
    assert all_differ([before, *kernels(layers)])


@pytest.mark.parametrize("functional", [False, True])
def test_copies_of_a_model_have_weights_of_their_own(functional):
    stack = [keras.layers.Dense(5), keras.layers.Dense(2)]
    given = keras.Sequential(stack)
    if functional:
        inputs = keras.Input((4,))
        given = keras.Model(inputs, stack[1](stack[0](inputs)))
    layers = make_layers("expert", given, NAMES)
    assert all_differ(kernels(layers))
    assert layers[0].count_params() == 4 * 5 + 5 + 5 * 2 + 2


def test_copies_do_not_drop_the_same_units():
    given = keras.layers.Dropout(0.5, seed=3)
    first, second, _ = make_layers("tower", given, NAMES)
    x = np.ones((8, 8), "float32")
    dropped = [
        keras.ops.convert_to_numpy(layer(x, training=True))
        for layer in (first, second)
    ]
    assert not np.array_equal(*dropped)


def test_a_function_is_called_once_for_each_name():
    layers = make_layers("expert", lambda: keras.layers.Dense(3), NAMES)
    assert all_differ(kernels(layers))


def test_given_layers_are_used_as_they_are():
    given = [keras.layers.Dense(3), keras.layers.Dense(2), keras.layers.ReLU()]
    assert make_layers("expert", given, NAMES) == given


def test_serialized_layers_come_back_unbuilt():
    layers = make_layers("tower", keras.layers.Dense(3, name="x"), NAMES)
    kernels(layers)
    back = deserialize_layers(serialize_layers(layers))
    assert [layer.name for layer in back] == ["left", "right", "a_b"]
    assert not any(layer.built for layer in back)


def test_serialized_sequential_models_come_back_unbuilt():
    given = keras.Sequential([keras.Sequential([keras.layers.Dense(3)])])
    layers = make_layers("tower", given, NAMES)
    for layer in layers:
        layer.build((None, 4))
    back = deserialize_layers(serialize_layers(layers))
    assert not any(layer.built for layer in back)
    with keras.name_scope("owner"):
        back[0].build((None, 4))
    [kernel, _] = back[0].weights
    assert kernel.path.startswith("owner/left/")
    back[0].set_weights(layers[0].get_weights())
    x = np.ones((2, 4), "float32")
    for values in zip(back[0](x), layers[0](x), strict=True):
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, values))


def test_cloned_initializers_draw_values_of_their_own():
    initializer = keras.initializers.RandomNormal()
    one, other = (clone_initializer(initializer)((4,)) for _ in range(2))
    assert not np.array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    assert clone_initializer(max) is max


class NoConfig(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def get_config(self):
        raise NotImplementedError("no `get_config` here")


def test_a_function_that_returns_one_layer_is_refused():
    layer = keras.layers.Dense(2)
    with pytest.raises(ValueError, match="`expert` gives one layer twice"):
        make_layers("expert", lambda: layer, NAMES)


@pytest.mark.parametrize("seed", [None, 3, "generator"])
def test_initializers_cloned_for_several_draw_different_values(seed):
    if seed == "generator":
        seed = keras.random.SeedGenerator(3)
    initializer = keras.initializers.RandomNormal(seed=seed)
    assert all_differ(
        [
            keras.ops.convert_to_numpy(clone_initializer(initializer, i)((4,)))
            for i in range(3)
        ]
    )


@pytest.mark.parametrize(
    "given, message",
    [
        ("dense", "`expert` should be a Keras layer"),
        (keras.layers.Dense, "`expert` should be a Keras layer"),
        (lambda n: keras.layers.Dense(n), "should take no arguments"),
        (lambda: 3, "should return a new Keras layer"),
        ([keras.layers.Dense(2)], "should hold 3 layers"),
        ([keras.layers.Dense(2), 1, 2], "should be a list of Keras layers"),
        ([keras.layers.Dense(2)] * 3, "gives one layer twice"),
        (NoConfig(3), "Give a function that makes a new one"),
    ],
)
def test_bad_layers_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        make_layers("expert", given, NAMES)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
