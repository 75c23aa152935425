"""A method serves one model, and has its state before the first step."""

import keras
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators

pytestmark = pytest.mark.backend


def make_model():
    inputs = keras.Input((2,))
    shared = keras.layers.Dense(3, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    return MultiTaskModel(inputs, outputs, name="first")


def compile_with(model, aggregator):
    model.compile("sgd", {"a": "mse", "b": "mse"}, aggregator=aggregator)


def test_state_is_there_once_a_functional_model_is_compiled():
    model, method = make_model(), aggregators.MoCo()
    compile_with(model, method)
    assert method.variables
    assert len(model.method_state.variables) == len(method.variables)
    assert model.task_names == ["a", "b"]


def test_a_method_with_state_serves_one_model():
    model, method = make_model(), aggregators.MoCo()
    compile_with(model, method)
    compile_with(model, method)
    with pytest.raises(ValueError, match="already belongs to the model 'first"):
        compile_with(make_model(), method)


def test_a_method_without_state_serves_many():
    method = aggregators.MGDA()
    for model in (make_model(), make_model()):
        compile_with(model, method)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
