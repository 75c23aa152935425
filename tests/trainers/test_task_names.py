"""Tasks are named after losses; auxiliaries can be tasks of their own."""

import keras
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries

pytestmark = pytest.mark.backend


def make_model(names):
    inputs = keras.Input((2,))
    shared = keras.layers.Dense(3, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in names}
    return MultiTaskModel(inputs, outputs)


def compiled(model, names):
    model.compile("sgd", dict.fromkeys(names, "mse"), aggregator="pcgrad")
    return model


def test_auxiliaries_come_after_the_tasks():
    model = add_self_auxiliaries(make_model("ab"), "shared", as_tasks=True)
    assert compiled(model, "ab").task_names == ["a", "b", "a_aux", "b_aux"]


def test_auxiliaries_that_join_their_task_have_no_name():
    model = add_self_auxiliaries(make_model("ab"), "shared")
    assert compiled(model, "ab").task_names == ["a", "b"]


def test_an_output_that_is_called_like_an_auxiliary():
    names = ["a", "a_aux"]
    model = make_model(names)
    model = add_self_auxiliaries(model, "shared", as_tasks=True, tasks=["a"])
    with pytest.raises(ValueError, match="Two tasks have the name 'a_aux'"):
        compiled(model, names)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
