"""Reading and replacing the output of a layer in a forward pass."""

import keras
import numpy as np
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl.trainers.taps import tap
from keras_mtl.utils.graph import find_operation
from tests.tiers import slow_except

pytestmark = pytest.mark.backend


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


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize(
    "mode", slow_except(["int8", "int4", "float8"], "int4")
)
def test_quantized_layers_are_computed_by_another_method(mode):
    model = make_model()
    layer = model.get_layer("hidden")
    model.quantize(mode)
    before = dict(vars(layer))
    expected = layer(X)
    with tap(layer, lambda z: z * 0) as tapped:
        result = model(X)
    np.testing.assert_allclose(tapped.source, expected)
    np.testing.assert_array_equal(result, np.zeros((4, 1)))
    assert vars(layer) == before


def quantized(cls, mode, **methods):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    outputs = {name: keras.layers.Dense(1, name=name)(hidden) for name in "ab"}
    model = cls(inputs, outputs)
    model.quantize(mode)
    loss = {"a": "mse", "b": "mse"}
    model.compile(keras.optimizers.SGD(0.1), loss, **methods)
    return model


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("mode", slow_except(["int8", "float8"], "float8"))
def test_a_quantized_representation_trains_as_in_stock_keras(mode):
    methods = {"aggregator": "sum", "representation": "hidden"}
    models = [
        quantized(keras.Model, mode),
        quantized(MultiTaskModel, mode, **methods),
    ]
    before = models[0].get_layer("hidden").get_weights()
    y = {name: np.ones((4, 1), "float32") for name in "ab"}
    for model in models:
        model.train_on_batch(X, y)
    stock, ours = [m.get_layer("hidden").get_weights() for m in models]
    for left, right in zip(stock, ours, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    assert any(
        not np.array_equal(*pair) for pair in zip(before, stock, strict=True)
    )


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


def test_finds_by_layer():
    model = make_model()
    layer = model.get_layer("hidden")
    assert find_operation(model, layer) is layer


def test_finds_in_nested_models():
    inner = make_model()
    inputs = keras.Input((2,))
    outer = keras.Model(inputs, inner(inputs))
    layer = inner.get_layer("hidden")
    assert find_operation(outer, layer) is layer
    assert find_operation(outer, layer.output) is layer
    assert find_operation(outer, outer.output) is inner


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = make_model()

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.parametrize("make", [make_model, Subclassed])
def test_what_another_model_has_is_not_found_by_its_name(make):
    model, other = make(), make_model().get_layer("hidden")
    with pytest.raises(ValueError, match="`norm_layer` is no layer of this"):
        find_operation(model, other, "norm_layer")
    for tensor in (other.output, keras.KerasTensor((None, 3))):
        with pytest.raises(ValueError, match="is no tensor of this model"):
            find_operation(model, tensor)


def test_another_call_of_the_layer_is_no_tensor_of_the_model():
    model = make_model()
    layer = model.get_layer("hidden")
    elsewhere = layer(keras.Input((2,)))
    with pytest.raises(ValueError, match="is no tensor of this model"):
        find_operation(model, elsewhere)


def test_a_graph_that_keras_copies_has_the_tensors_of_the_first():
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    again = keras.layers.Dense(4, name="again")(hidden)
    output = keras.layers.Dense(1)(again)
    model = keras.Model(hidden, output)
    assert find_operation(model, again) is model.get_layer("again")
    with pytest.raises(ValueError, match="is no tensor of this model"):
        find_operation(model, inputs)


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
