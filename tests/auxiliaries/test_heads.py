"""Second heads have the form of the outputs that they predict."""

import random

import keras
import pytest
from keras import layers

from keras_mtl.auxiliaries import heads
from keras_mtl.utils.graph import named_outputs

pytestmark = pytest.mark.backend


def make_model() -> keras.Model:
    inputs = keras.Input((6, 4))
    x = layers.Dense(3)(inputs)
    return keras.Model(
        inputs,
        {
            "tags": layers.Dense(5, activation="softmax")(x),
            "flag": layers.Dense(1, dtype="mixed_float16")(layers.Flatten()(x)),
            "odd": keras.ops.sum(x, axis=(1, 2)),
        },
    )


OUTPUTS = named_outputs(make_model())
FEATURES = "`taps` 'shared'", (None, 6, 3)


@pytest.mark.parametrize(
    "given, names",
    [(None, list(OUTPUTS)), ("tags", ["tags"]), (("flag",), ["flag"])],
)
def test_tasks_are_all_or_those_named(given, names):
    assert heads.task_names(given, OUTPUTS) == names


@pytest.mark.parametrize("given", ["tag", [], ["tags", "tags"]])
def test_unknown_tasks_are_refused(given):
    message = "`tasks` (must name|has entries).*outputs.*'tags'"
    with pytest.raises(ValueError, match=message):
        heads.task_names(given, OUTPUTS)


@pytest.mark.parametrize("task, shape", [("tags", (2, 6, 5)), ("flag", (2, 1))])
def test_a_linear_head_has_units_and_rank_of_the_output(task, shape):
    head = heads.linear_head(
        task, OUTPUTS[task], FEATURES, activation=None, bottleneck=2
    )
    assert head(keras.ops.ones((2, 6, 3))).shape == shape
    assert head.bottleneck == 2


@pytest.mark.parametrize(
    "task, features", [("tags", (None, 5, 3)), ("odd", (None, 3))]
)
def test_no_linear_head_of_another_form(task, features):
    with pytest.raises(ValueError, match=f"No head on mine.*'{task}'"):
        heads.linear_head(
            task, OUTPUTS[task], ("mine", features), activation=None
        )


def test_activations_are_found_or_given():
    find = heads.activations
    found = find(None, ["tags", "flag"], OUTPUTS)
    assert found["tags"] is keras.activations.softmax
    assert found["flag"] is keras.activations.linear
    assert find({"odd": "relu"}, ["odd"], OUTPUTS) == {"odd": "relu"}
    assert find("tanh", ["tags"], OUTPUTS) == {"tags": "tanh"}
    with pytest.raises(ValueError, match="what kind of output 'odd' is"):
        find(None, ["odd"], OUTPUTS)
    with pytest.raises(ValueError, match="`activation` has entries.*'odd'"):
        find({"odd": "relu"}, ["tags"], OUTPUTS)


def test_dtype_policy_is_that_of_the_output():
    model = make_model()
    outputs = named_outputs(model)
    policy = heads.dtype_policy
    assert policy(outputs["flag"], model).name == "mixed_float16"
    assert policy(outputs["tags"], model).name == "float32"
    # An operation has none.
    assert policy(outputs["odd"], model).name == "float32"


def test_names_have_no_slash():
    assert heads.head_name("a/b") == "a_b_aux"


def test_randomness_goes_on_as_if_nothing_was_drawn():
    expected = random.Random()
    expected.setstate(random.getstate())
    with heads.undisturbed_randomness():
        random.random()
    assert random.random() == expected.random()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
