"""The base class of weightings, as somebody who writes one uses it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import weightings
from keras_mtl.model import MultiTaskModel
from keras_mtl.weightings import Weighting


@keras.saving.register_keras_serializable(package="test_weighting")
class LargestFirst(Weighting):
    def weights(self, losses):
        return ops.softmax(losses) * losses.shape[0]


def make_model(weighting):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(4, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss={"a": "mse", "b": "mse"},
        weighting=weighting,
    )
    return model


RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3)).astype("float32")
Y = {n: RNG.normal(size=(8, 1)).astype("float32") for n in "ab"}


def test_weights_are_constants_to_the_gradient():
    """The step is that of stock Keras with these numbers as loss weights."""
    model = make_model(LargestFirst())
    start = model.get_weights()
    losses = model.evaluate(X, Y, return_dict=True, verbose=0)
    logits = np.array([losses["a_loss"], losses["b_loss"]])
    weights = 2 * np.exp(logits) / np.exp(logits).sum()
    model.train_on_batch(X, Y)
    trained = model.get_weights()

    stock = keras.Model(model.input, model.output)
    stock.compile(
        keras.optimizers.SGD(0.1),
        loss={"a": "mse", "b": "mse"},
        loss_weights={"a": float(weights[0]), "b": float(weights[1])},
    )
    stock.set_weights(start)
    stock.train_on_batch(X, Y)
    for ours, theirs in zip(trained, stock.get_weights()):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_logs_show_losses_before_weighting():
    """So that runs with different weightings can be compared."""
    model = make_model(LargestFirst())
    before = model.evaluate(X, Y, return_dict=True, verbose=0)
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert np.isclose(logs["loss"], before["loss"], rtol=1e-5)
    assert "gradient_conflict" not in logs


def test_a_weighting_must_say_how():
    with pytest.raises(NotImplementedError, match="should implement `weights"):
        Weighting().weighted_losses(np.ones(2, "float32"))


@pytest.mark.parametrize("reads", ["losses", {"loss"}, {"losses", "norms"}])
def test_what_is_not_to_be_read(reads):
    class Curious(LargestFirst):
        pass

    Curious.reads = reads
    with pytest.raises(ValueError, match=r"Curious.reads` must be a set.*Rec"):
        Curious()


@pytest.mark.parametrize(
    "name, hook", [("weighted_losses", "penalties"), ("on_epoch_end", "end_ep")]
)
def test_what_nobody_would_call_is_refused(name, hook):
    cls = type("Deaf", (LargestFirst,), {name: lambda self, *args: None})
    with pytest.raises(TypeError, match=f"Deaf overrides `{name}`.*{hook}"):
        cls()


def test_what_is_read_is_observed_in_one_order():
    class Watching(LargestFirst):
        reads = frozenset({"gradient_gram", "losses_after"})

    assert Watching().observes == ("losses_after", "gradient_gram")
    assert LargestFirst().observes == ()


class Trained(Weighting):
    """Learns one weight a task, and pays for it."""

    def create_state(self, task_names):
        self.scale = self.add_parameter("scale", (len(task_names),), 2.0)

    def weights(self, losses):
        return ops.cast(self.scale, losses.dtype)

    def penalties(self):
        return -3.0 * ops.cast(self.scale, "float32")


def test_what_is_trained_gets_the_gradient_of_its_own_loss():
    """Of w l - 3 w it is l - 3; the loss of a task moves no other's weight."""
    model = make_model(Trained())
    losses = model.evaluate(X, Y, return_dict=True, verbose=0)
    model.train_on_batch(X, Y)
    expected = [2 - 0.1 * (losses[f"{n}_loss"] - 3) for n in "ab"]
    found = ops.convert_to_numpy(model.weighting.scale)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_own_classes_survive_serialisation():
    copy = weightings.deserialize(weightings.serialize(LargestFirst()))
    assert isinstance(copy, LargestFirst)


def test_unknown_names_list_the_known():
    with pytest.raises(
        ValueError, match=r"Known names: \['cosmos', .*'uwso'\]"
    ):
        weightings.get("uncertanty")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
