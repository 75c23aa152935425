"""Functional and subclassed models of every kind in one process."""

import keras
import numpy as np
import pytest

import keras_mtl

pytestmark = pytest.mark.backend


def graph():
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(3, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    return inputs, outputs


def make_class_with_graph_in_constructor():
    class Graph(keras_mtl.MultiTaskModel):
        def __init__(self):
            super().__init__(*graph())

    return Graph


def make_class_with_call():
    class Call(keras_mtl.MultiTaskModel):
        def __init__(self):
            super().__init__()
            self.shared = keras.layers.Dense(3)
            self.heads = {n: keras.layers.Dense(1, name=n) for n in "ab"}

        def call(self, inputs):
            shared = self.shared(inputs)
            return {name: head(shared) for name, head in self.heads.items()}

    return Call


def make_class_called_with_a_graph():
    class Plain(keras_mtl.MultiTaskModel):
        pass

    return lambda: Plain(*graph())


MAKERS = [
    make_class_with_graph_in_constructor,
    make_class_with_call,
    make_class_called_with_a_graph,
    lambda: lambda: keras_mtl.MultiTaskModel(*graph()),
]


@pytest.mark.parametrize("step", [1, -1], ids=["in_order", "reversed"])
def test_no_kind_of_model_changes_another(step):
    """Keras would turn the common base class functional, for good."""
    makers = [make() for make in MAKERS]
    x = np.ones((2, 4), "float32")
    for make in makers[::step] * 2:
        model = make()
        assert set(model(x)) == {"a", "b"}
        assert isinstance(model, keras_mtl.MultiTaskModel)
    # Keras makes classes functional by another base.
    names = [cls.__name__ for cls in keras_mtl.MultiTaskModel.__mro__]
    assert names[:2] == ["MultiTaskModel", "Trainer"]
    assert "Functional" not in names


def test_a_subclass_of_a_functional_subclass():
    Graph = make_class_with_graph_in_constructor()

    class Deeper(Graph):
        pass

    for cls in (Deeper, Graph, Deeper):
        assert set(cls()(np.ones((2, 4), "float32"))) == {"a", "b"}


def test_a_clone_of_a_class_with_its_own_constructor():
    """Keras makes a stock model of it, and compiles that alike."""
    model = make_class_with_graph_in_constructor()()
    losses = {"a": "mse", "b": "mae"}
    model.compile("sgd", loss=losses, loss_weights={"a": 2.0, "b": 1.0})
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = np.ones((2, 4), "float32")
    y = {name: np.zeros((2, 1), "float32") for name in "ab"}
    logs = [
        m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, clone)
    ]
    assert logs[0] == pytest.approx(logs[1])
    assert clone.get_compile_config() == model.get_compile_config()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
