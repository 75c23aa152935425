"""What a model was compiled with, and which of its variables are shared."""

import keras
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl.trainers import settings

pytestmark = pytest.mark.backend


def make_model(**arguments):
    inputs = keras.Input((2,))
    shared = keras.layers.Dense(3, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.compile("sgd", {"a": "mse", "b": "mse"}, **arguments)
    return model


@pytest.mark.parametrize(
    ("arguments", "takes", "stock"),
    [
        ({}, False, True),
        ({"missing_label": -1}, False, False),
        ({"aggregator": "sum"}, True, False),
        ({"weighting": "uncertainty"}, True, False),
    ],
)
def test_what_differs_from_keras(arguments, takes, stock):
    model = make_model(**arguments)
    assert settings.takes_task_gradients(model) is takes
    assert settings.is_stock(model) is stock
    assert not settings.awaits_tasks(model)


def test_what_a_weighting_trains_is_not_arbitrated():
    model = make_model(aggregator="pcgrad", weighting="uncertainty")
    shared = [v.path for v in settings.arbitrated_variables(model)]
    trained = {v.path for v in model.trainable_variables}
    assert len(trained) == len(shared) + 1
    assert set(shared) < trained
    assert {"shared/kernel", "a/kernel"} < set(shared)


def test_compiling_anew_forgets_the_old_settings():
    model = make_model(aggregator="pcgrad")
    assert settings.settings_of(model).training_metrics
    model.compile("sgd", {"a": "mse", "b": "mse"})
    assert not settings.settings_of(model).training_metrics
    assert model.task_names is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
