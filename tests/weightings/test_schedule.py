"""Scheduled loss weights: values by step, saving, mistakes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.model import MultiTaskModel
from keras_mtl.testing import compiled
from keras_mtl.weightings import deserialize
from keras_mtl.weightings import serialize
from keras_mtl.weightings.schedule import Schedule

WARM_UP = keras.optimizers.schedules.PolynomialDecay(
    initial_learning_rate=0.0, decay_steps=4, end_learning_rate=0.5
)


@keras.saving.register_keras_serializable(package="test_schedule")
def every_other(step):
    return ops.cast(step % 2 == 0, "float32")


@keras.saving.register_keras_serializable(package="test_schedule")
class Ramp:
    def __init__(self, slope):
        self.slope = slope

    def __call__(self, step):
        return self.slope * ops.cast(step, "float32")

    def get_config(self):
        return {"slope": self.slope}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="test_schedule")
class OneWay:
    def __call__(self, step):
        return 1.0

    def get_config(self):
        return {}


SCHEDULES = {"a": WARM_UP, "b": every_other, "c": Ramp(2.0), "d": 3}
VALUES = [
    [0.0, 1, 0, 3, 1],
    [0.125, 0, 2, 3, 1],
    [0.25, 1, 4, 3, 1],
    [0.375, 0, 6, 3, 1],
    [0.5, 1, 8, 3, 1],
    [0.5, 0, 10, 3, 1],
]


def values(weighting, count):
    """The weights of steps, compiled."""

    def step(losses):
        weights = weighting.weights(losses)
        weighting.update(losses)
        return weights

    weighting.build(list("abcde"))
    run = compiled(step, weighting.variables)
    losses = np.full(5, np.nan, "float32")
    return np.stack([ops.convert_to_numpy(run(losses)) for _ in range(count)])


def test_values():
    np.testing.assert_allclose(values(Schedule(SCHEDULES), 6), VALUES)


def test_survives_serialisation():
    again = deserialize(serialize(Schedule(SCHEDULES)))
    np.testing.assert_allclose(values(again, 6), VALUES)


def test_trains_with_the_weights_of_the_step():
    """A task with weight zero does not move its head."""
    inputs = keras.Input((3,))
    outputs = {n: keras.layers.Dense(1, name=n)(inputs) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss={"a": "mse", "b": "mse"},
        weighting=Schedule({"a": every_other}),
        jit_compile=False,
    )
    x, y = np.ones((4, 3)), {n: np.ones((4, 1)) for n in "ab"}
    moved = []
    for _ in range(4):
        start = model.get_layer("a").get_weights()[0]
        model.train_on_batch(x, y)
        moved.append((model.get_layer("a").get_weights()[0] != start).any())
    assert moved == [True, False, True, False]


@pytest.mark.parametrize(
    "given", [lambda step: 1.0, Ramp(1.0).__call__, OneWay()]
)
def test_what_cannot_be_saved_says_so(given):
    weighting = Schedule({"a": given})
    assert "schedules" in repr(weighting)
    with pytest.raises(ValueError, match="'a' cannot be saved. Define it at"):
        serialize(weighting)


@pytest.mark.parametrize(
    "schedules, message",
    [
        ([1.0], "`schedules` must be a dict"),
        ({"a": -1.0}, r"`schedules\['a'\]` must be a number from 0 up"),
        ({"a": "cosine"}, r"`schedules\['a'\]` must be a number from 0 up"),
    ],
)
def test_bad_schedules(schedules, message):
    with pytest.raises(ValueError, match=message):
        Schedule(schedules)


def test_unknown_task():
    with pytest.raises(ValueError, match=r"`schedules` has entries \['x'\]"):
        Schedule({"x": 1.0}).build(["a"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
