"""What a method is shown of a step, in a model and outside."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl.aggregators import Aggregator
from keras_mtl.aggregators import Sum
from keras_mtl.methods import StepInfo

pytestmark = pytest.mark.backend

ROWS = np.array([[1.0, 2.0], [3.0, -1.0]], "float32")


class Probe(Sum):
    """Keeps what it was shown last."""

    def update(self, gram, step):
        self.shown = step
        return self.weights(gram)


class Squares(Probe):
    scale_free = False


class EntryProbe(Aggregator):
    """Keeps all that it was shown."""

    sees = "entries"

    def __init__(self):
        super().__init__()
        self.shown = []

    def combine(self, jacobian, step):
        self.shown.append(step)
        return ops.sum(jacobian, axis=0)


def train(aggregator, **arguments):
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2, use_bias=False, name="shared")(inputs)
    pair = keras.layers.Dense(2, use_bias=False, name="pair")(shared)
    outputs = {
        "a": keras.layers.Dense(1, use_bias=False, name="a")(shared),
        "b": keras.layers.Dense(1, use_bias=False, name="b")(pair),
        "c": keras.layers.Dense(1, use_bias=False, name="c")(pair),
    }
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.0),
        dict.fromkeys("abc", "mse"),
        loss_weights={"a": 1.0, "b": 2.0, "c": 1.0},
        aggregator=aggregator,
        missing_label=-1.0,
        # What is shown is looked at here.
        run_eagerly=keras.backend.backend() == "tensorflow",
        **arguments,
    )
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    y = {"a": x[:, :1], "b": x[:, 1:2], "c": np.full((8, 1), -1.0, "float32")}
    return model.train_on_batch(x, y, return_dict=True)


def test_names_of_tasks_and_fields():
    probe = Probe()
    train(probe)
    assert probe.shown.task_names == ("a", "b", "c")
    assert probe.shown.tasks is None
    assert tuple(probe.shown.losses.shape) == (3,)
    assert tuple(probe.shown.present.shape) == (3,)
    assert tuple(probe.shown.unit.shape) == (1,)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="JAX has no eager step"
)
def test_losses_are_without_their_weights_and_absent_tasks_are_told():
    probe = Probe()
    logs = train(probe)
    expected = [logs[f"{name}_loss"] for name in "abc"]
    np.testing.assert_allclose(probe.shown.losses, expected, rtol=1e-6)
    np.testing.assert_array_equal(probe.shown.present, [True, True, False])


def test_only_scale_free_methods_see_a_unit():
    probe = Squares()
    train(probe)
    assert probe.shown.unit is None


def test_entries_are_those_of_the_tasks_that_reach():
    probe = EntryProbe()
    train(probe)
    seen = {step.tasks for step in probe.shown}
    assert seen == {(0, 1, 2), (1, 2)}
    for step in probe.shown:
        size = (len(step.tasks),)
        assert tuple(step.losses.shape) == tuple(step.present.shape) == size


def test_outside_of_a_model():
    probe = Probe()
    probe(ROWS, losses=[1.0, 2.0])
    assert probe.shown.losses == [1.0, 2.0]
    assert probe.shown.present is probe.shown.task_names is None
    assert StepInfo() == (None,) * 5


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
