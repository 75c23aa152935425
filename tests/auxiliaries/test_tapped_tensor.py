"""Which tensor of a model a name stands for."""

import keras
import pytest
from keras import layers

from keras_mtl.auxiliaries.tapped_tensor import check_leads_to
from keras_mtl.auxiliaries.tapped_tensor import tapped_tensor
from keras_mtl.utils.graph import operation_of

pytestmark = pytest.mark.backend


def make_model() -> keras.Model:
    inner_inputs = keras.Input((4,))
    deep = layers.Dense(3, name="deep")(inner_inputs)
    inner = keras.Model(inner_inputs, layers.ReLU(name="top")(deep), name="in")
    inputs = keras.Input((4,), name="features")
    shared = inner(inputs)
    one = layers.Dense(1, name="one")(shared)
    return keras.Model(inputs, {"a": one, "b": keras.ops.tanh(shared)})


@pytest.mark.parametrize("name, width", [("deep", 3), ("in", 3), ("one", 1)])
def test_finds_layers_by_name_also_inside_nested_models(name, width):
    tensor = tapped_tensor("taps", make_model(), name)
    assert operation_of(tensor).name == name
    assert tensor.shape == (None, width)


def test_finds_layers_that_are_given_themselves():
    model = make_model()
    for name in ("in", "one"):
        tensor = tapped_tensor("taps", model, model.get_layer(name))
        assert operation_of(tensor) is model.get_layer(name)


def test_what_another_model_has_is_refused():
    one = make_model().get_layer("one")
    for given, more in ((one, ""), (one.output, ", and is no tensor")):
        with pytest.raises(ValueError, match=f"is no layer.*depend on{more}"):
            tapped_tensor("taps", make_model(), given)


def test_finds_tensors():
    model = make_model()
    assert tapped_tensor("taps", model, model.output["b"]) is model.output["b"]


@pytest.mark.parametrize(
    "given, message",
    [
        (3, "`taps` must be the name of a layer, or a tensor.*taps=3"),
        ("two", "`taps` is no layer.*Its layers are.*'deep'.*taps='two'"),
        ("features", "`taps` is the input 'features'.*Name a layer"),
    ],
)
def test_says_which_argument_is_wrong(given, message):
    with pytest.raises(ValueError, match=message):
        tapped_tensor("taps", make_model(), given)


def test_a_tensor_must_lead_to_the_output():
    model = make_model()
    shared = tapped_tensor("taps", model, "in")
    one = tapped_tensor("taps", model, "one")
    for task, output in model.output.items():
        check_leads_to("taps", shared, task, output)
    check_leads_to("taps", one, "a", model.output["a"])
    with pytest.raises(ValueError, match="`taps` 'one' is not on the way.*'b'"):
        check_leads_to("taps", one, "b", model.output["b"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
