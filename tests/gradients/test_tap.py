"""Reading and replacing the output of a layer in a forward pass."""

import keras
import numpy as np
import pytest

from keras_mtl.gradients.tap import find_operation
from keras_mtl.gradients.tap import tap


def make_model():
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    doubled = keras.ops.multiply(hidden, 2.0)
    return keras.Model(inputs, keras.layers.Dense(1, name="out")(doubled))


X = np.ones((4, 2), "float32")


def test_records_and_leaves_no_trace():
    model = make_model()
    layer = model.get_layer("hidden")
    before = dict(vars(layer))
    with tap(layer) as tapped:
        result = model(X)
    np.testing.assert_allclose(tapped.source, layer(X))
    assert vars(layer) == before
    np.testing.assert_allclose(model(X), result)


def test_replaces_what_the_rest_of_the_model_receives():
    model = make_model()
    with tap(model.get_layer("hidden"), lambda z: z * 0) as tapped:
        result = model(X)
    bias = model.get_layer("out").bias
    np.testing.assert_allclose(result, np.tile(bias, (4, 1)))
    assert np.any(keras.ops.convert_to_numpy(tapped.source) != 0)


def test_a_layer_called_twice_is_no_representation():
    layer = keras.layers.Dense(2, name="twice")
    with pytest.raises(ValueError, match="'twice' is computed more than once"):
        with tap(layer):
            layer(layer(X))


def test_a_layer_never_called_is_no_representation():
    layer = keras.layers.Dense(2, name="idle")
    with pytest.raises(ValueError, match="'idle' is not computed"):
        with tap(layer):
            pass


def test_finds_by_name_and_by_tensor():
    model = make_model()
    layer = model.get_layer("hidden")
    assert find_operation(model, "hidden") is layer
    assert find_operation(model, layer.output) is layer


def test_finds_an_operation_that_is_no_layer():
    inputs = keras.Input((2,))
    doubled = keras.ops.multiply(inputs, 2.0)
    model = keras.Model(inputs, keras.layers.Dense(1)(doubled))
    operation = find_operation(model, doubled)
    with tap(operation) as tapped:
        model(X)
    np.testing.assert_allclose(tapped.source, 2 * X)


def test_unknown_names_list_the_layers():
    with pytest.raises(ValueError, match=r"none of its layers.*'hidden'"):
        find_operation(make_model(), "hiden")
    with pytest.raises(ValueError, match="Received: representation=3"):
        find_operation(make_model(), 3)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
