import keras
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.graph import named_outputs
from keras_mtl.utils.graph import nodes_before

pytestmark = pytest.mark.backend


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class OwnCall(keras.Model):
    """Functional in form, and something else in what it computes."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=training) * 2


def two_outputs(structure, model_class=keras.Model) -> keras.Model:
    inputs = keras.Input((4,))
    a = layers.Dense(2, name="a")(inputs)
    b = layers.Dense(3, name="b")(inputs)
    return model_class(inputs, structure(a, b))


def names_before(*outputs) -> list[str]:
    return sorted(node.operation.name for node in nodes_before(*outputs))


@pytest.mark.parametrize(
    "structure, expected",
    [
        (lambda a, b: {"y": b, "x": a}, {"y": 3, "x": 2}),
        (lambda a, b: [b, a], {"b": 3, "a": 2}),
        (lambda a, b: (a, b), {"a": 2, "b": 3}),
        (lambda a, b: b, {"b": 3}),
        (lambda a, b: [b], {"b": 3}),
        (lambda a, b: {"p": {"q": a}, "r": b}, {"p/q": 2, "r": 3}),
        (lambda a, b: {"p": [a, b]}, {"p/a": 2, "p/b": 3}),
    ],
)
@pytest.mark.parametrize("model_class", [keras.Model, MultiTaskModel])
def test_outputs_have_the_names_that_keras_logs(
    structure, expected, model_class
):
    outputs = named_outputs(two_outputs(structure, model_class))
    assert {name: t.shape[-1] for name, t in outputs.items()} == expected


def test_names_agree_with_the_losses_of_keras():
    model = two_outputs(lambda a, b: {"p": [a, b], "q": {"r": b}})
    model.compile(loss="mse")
    zeros = keras.ops.zeros
    model.train_on_batch(
        zeros((1, 4)),
        {"p": [zeros((1, 2)), zeros((1, 3))], "q": {"r": zeros((1, 3))}},
    )
    logged = {name for name in model.get_metrics_result() if name != "loss"}
    assert {f"{name}_loss" for name in named_outputs(model)} == logged


def test_refuses_two_outputs_of_one_name():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    shared = layers.Dense(2, name="same")
    model = keras.Model(inputs, [shared(x) for x in inputs])
    with pytest.raises(ValueError, match="Two outputs.*called 'same'"):
        named_outputs(model)


def test_which_models_have_a_graph():
    assert has_graph(two_outputs(lambda a, b: [a, b]))
    assert has_graph(two_outputs(lambda a, b: [a, b], MultiTaskModel))
    assert has_graph(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
    assert not has_graph(keras.Sequential([layers.Dense(2)]))
    assert not has_graph(Subclassed())
    assert not has_graph(two_outputs(lambda a, b: a, OwnCall))
    assert not has_graph(layers.Dense(2))


def test_nodes_before_an_output_are_what_it_depends_on():
    inputs = keras.Input((4,), name="in")
    left = layers.Dense(2, name="left")(inputs)
    right = layers.Dense(2, name="right")(inputs)
    both = layers.Add(name="both")([left, right])
    assert names_before(left) == ["in", "left"]
    assert names_before(left, right) == ["in", "left", "right"]
    assert names_before(both) == ["both", "in", "left", "right"]


def test_nodes_of_nested_models_come_once_for_each_use():
    inner_in = keras.Input((4,), name="inner_in")
    inner = keras.Model(
        inner_in, layers.Dense(4, name="deep")(inner_in), name="inner"
    )
    inputs = keras.Input((4,), name="in")
    once = names_before(inner(inputs))
    twice = names_before(inner(inner(inputs)))
    assert once == ["deep", "in", "inner", "inner_in"]
    assert twice.count("inner") == twice.count("deep") == 2


def test_only_the_graph_of_the_given_outputs_counts():
    inputs = keras.Input((4,), name="in")
    shared = layers.Dense(4, name="shared")
    first = shared(inputs)
    # Another model uses the layer too.
    keras.Model(inputs, layers.Dense(2, name="elsewhere")(shared(first)))
    assert names_before(first) == ["in", "shared"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
