"""What `compile` refuses, and how it says so."""

import keras
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators

pytestmark = pytest.mark.backend

LOSS = {"a": "mse", "b": "mse"}


def make_model():
    inputs = keras.Input((2,))
    shared = keras.layers.Dense(3, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    return MultiTaskModel(inputs, outputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": None, "aggregator": "sum"}, "Give a loss for each"),
        ({"representation": "shared"}, "`aggregator` is None"),
        (
            {
                "representation": "shared",
                "aggregator": aggregators.Projection(
                    "a", granularity="model", scope="all"
                ),
            },
            'scope="all"',
        ),
        (
            {"representation": "shared", "aggregator": aggregators.MoCo()},
            "remembers gradients from step to step",
        ),
        (
            {"aggregator": "mgda", "representation_reduction": "max"},
            "must be one of .*'mean'.*Received: .*'max'",
        ),
        ({"representation_reduction": "mean"}, "`representation` is None"),
        (
            {
                "representation": "shared",
                "aggregator": "grad_drop",
                "representation_reduction": "sum",
            },
            "makes none",
        ),
        ({"scale_heads": True}, "`aggregator` is None"),
        ({"aggregator": "mgda", "scale_heads": 1}, "must be True or False"),
        ({"aggregator": "grad_drop", "scale_heads": True}, "has none for"),
        ({"aggregator": "mo_co", "scale_heads": True}, "has none for"),
        (
            {"aggregator": aggregators.MGDA(granularity="layer")}
            | {"scale_heads": True},
            "one for each layer.*granularity=.model",
        ),
        ({"loss_weights": {"a": 1.0}}, "an entry for each task"),
        (
            {"loss_weights": {"a": float("nan"), "b": 1.0}},
            "finite numbers from 0 up",
        ),
        (
            {"loss_weights": {"a": -1.0, "b": 1.0}, "aggregator": "sum"},
            "finite numbers from 0 up",
        ),
        ({"metrics": {"c": "mae"}, "aggregator": "sum"}, "'c'"),
    ],
)
def test_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model().compile(**{"loss": LOSS, **arguments})


def test_weights_that_are_variables_are_refused():
    weights = {"a": keras.Variable(1.0), "b": 1.0}
    with pytest.raises(ValueError, match="Use a `weighting`"):
        make_model().compile(loss=LOSS, loss_weights=weights, aggregator="sum")


def test_as_keras_it_takes_negative_weights():
    make_model().compile(loss=LOSS, loss_weights={"a": -1.0, "b": 1.0})


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
