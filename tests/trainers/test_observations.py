"""What a weighting may ask to see beside the losses."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl.weightings import Weighting
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 3)).astype("float32")
Y = {name: RNG.normal(size=(16, 1)).astype("float32") for name in "ab"}
SETTINGS = {
    "compiled": {"jit_compile": True},
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "aggregated": {"aggregator": "pcgrad"},
}
each_setting = pytest.mark.parametrize(
    "setting", slow_except(SETTINGS, "graph")
)


@keras.saving.register_keras_serializable(package="test_observations")
class Watching(Weighting):
    """Remembers what it saw last."""

    reads = frozenset({"losses", "losses_after", "gradient_norms"})

    def __init__(self, norm_layer=None, factors=(2.0, 1.0), name=None):
        super().__init__(name=name)
        self.norm_layer = norm_layer
        self.factors = factors

    def create_state(self, task_names):
        self.seen = self.add_state("seen", (3, len(task_names)))

    def weights(self, losses):
        return ops.convert_to_tensor(self.factors)

    def update(self, losses, observed):
        self.seen.assign(
            ops.stack([losses, observed.losses_after, observed.gradient_norms])
        )


def make_model(weighting, normalized=False, **arguments):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    first = layers.Dense(4, name="first")(inputs)
    first = layers.BatchNormalization(name="normalization")(first)
    shared = layers.Dense(4, name="shared")(first)
    if normalized:
        shared = layers.BatchNormalization(name="last")(shared)
    outputs = {name: layers.Dense(1, name=name)(shared) for name in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.01),
        loss={"a": "mse", "b": "mse"},
        weighting=weighting,
        **arguments,
    )
    return model


def seen(model):
    return ops.convert_to_numpy(model.weighting.seen)


def task_gradient_norms(layer, normalized=False):
    """By stock Keras and SGD: what a step subtracts is the gradient."""
    norms = []
    for name, factor in (("a", 2.0), ("b", 1.0)):
        model = make_model(None, normalized)
        stock = keras.Model(model.input, model.output)
        zero = {other: 0.0 for other in "ab"}
        stock.compile(
            keras.optimizers.SGD(1.0),
            loss={"a": "mse", "b": "mse"},
            loss_weights={**zero, name: factor},
        )
        before = stock.get_layer(layer).get_weights()
        stock.train_on_batch(X, Y)
        after = stock.get_layer(layer).get_weights()
        parts = [(b - a).ravel() for b, a in zip(before, after)]
        norms.append(np.linalg.norm(np.concatenate(parts)))
    return norms


@pytest.mark.slow
@each_setting
def test_losses_before_and_after(setting):
    model = make_model(Watching(), **SETTINGS[setting])
    logs = model.train_on_batch(X, Y, return_dict=True)
    before, after, _ = seen(model)
    np.testing.assert_allclose(
        before, [logs["a_loss"], logs["b_loss"]], rtol=1e-5
    )
    # The next step of a copy starts from the very losses.
    copy = make_model(Watching())
    copy.set_weights(model.get_weights())
    logs = copy.train_on_batch(X, Y, return_dict=True)
    np.testing.assert_allclose(
        after, [logs["a_loss"], logs["b_loss"]], rtol=1e-5
    )
    assert (after < before).all()


@pytest.mark.slow
def test_the_second_look_leaves_nothing_behind():
    weights, logs = [], []
    for weighting in (Watching(), None):
        arguments = {} if weighting else {"loss_weights": {"a": 2.0, "b": 1.0}}
        model = make_model(weighting, **arguments)
        history = model.fit(X, Y, batch_size=8, verbose=0, shuffle=False)
        weights.append(model.get_weights())
        logs.append(history.history)
    for ours, theirs in zip(*weights):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for name in ("a_loss", "b_loss"):
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-5)


@pytest.mark.slow
@each_setting
def test_gradient_norms_at_the_last_shared_layer(setting):
    model = make_model(Watching(), **SETTINGS[setting])
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(
        seen(model)[2], task_gradient_norms("shared"), rtol=1e-4
    )


@pytest.mark.parametrize("exponent", [-70, 70])
@pytest.mark.parametrize("setting", slow_except(["compiled", "eager"], "eager"))
def test_gradient_norms_whose_squares_float32_does_not_have(setting, exponent):
    """One task's alone are about 1e-20 or 1e20 of the other's."""
    factors = 2.0**exponent, 1.0
    model = make_model(Watching(factors=factors), **SETTINGS[setting])
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(X, Y)
    expected = np.multiply(task_gradient_norms("shared"), [factors[0] / 2, 1.0])
    np.testing.assert_allclose(seen(model)[2], expected, rtol=1e-4)


@pytest.mark.slow
def test_gradient_norms_at_a_kernel_and_not_at_a_normalization():
    model = make_model(Watching(), normalized=True)
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(
        seen(model)[2], task_gradient_norms("shared", True), rtol=1e-3
    )


def test_gradient_norms_where_tasks_share_no_kernel():
    inputs = keras.Input((3,))
    shared = layers.BatchNormalization(name="shared")(inputs)
    model = MultiTaskModel(
        inputs, {name: layers.Dense(1, name=name)(shared) for name in "ab"}
    )
    model.compile("sgd", {"a": "mse", "b": "mse"}, weighting=Watching())
    model.train_on_batch(X, Y)
    assert (seen(model)[2] > 0).all()


@pytest.mark.slow
def test_gradient_norms_at_a_named_layer():
    model = make_model(Watching("first"))
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(
        seen(model)[2], task_gradient_norms("first"), rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
def test_gradient_norms_at_a_representation():
    model = make_model(Watching(), aggregator="sum", representation="shared")
    model.train_on_batch(X, Y)
    norms = seen(model)[2]
    assert np.isfinite(norms).all() and (norms > 0).all()


@pytest.mark.parametrize("name", ["a", "nowhere", "normalization_2"])
def test_a_layer_that_does_not_do(name):
    model = make_model(Watching(name))
    if name == "a":
        # A head: the other task has no gradient there.
        model.train_on_batch(X, Y)
        assert seen(model)[2][1] == 0
        return
    with pytest.raises(ValueError, match=name):
        model.train_on_batch(X, Y)


class WatchingGram(Weighting):
    """Remembers the Gram matrix that it saw last."""

    reads = frozenset({"gradient_gram"})

    def create_state(self, task_names):
        size = len(task_names)
        self.seen = self.add_state("seen", (size, size))

    def weights(self, losses):
        return ops.convert_to_tensor([2.0, 1.0])

    def update(self, losses, observed):
        self.seen.assign(observed.gradient_gram)


@pytest.mark.slow
@each_setting
def test_gradient_gram_over_all_that_is_shared(setting):
    model = make_model(WatchingGram(), **SETTINGS[setting])
    model.train_on_batch(X, Y)
    squares = sum(
        np.square(task_gradient_norms(layer))
        for layer in ("first", "normalization", "shared")
    )
    np.testing.assert_allclose(np.diag(seen(model)), squares, rtol=1e-3)
    np.testing.assert_allclose(seen(model), seen(model).T)
    assert abs(seen(model)[0, 1]) <= np.sqrt(np.prod(squares))


@pytest.mark.slow
def test_gradient_gram_is_of_gradients_without_the_loss_scale():
    """Its square, and that of scaled gradients, float32 does not have."""
    expected = make_model(WatchingGram())
    expected.train_on_batch(X, Y)
    model = make_model(WatchingGram())
    model.optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=2.0**70
    )
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(seen(model), seen(expected), rtol=1e-4)


@pytest.mark.slow
def test_gradient_gram_at_a_representation():
    model = make_model(
        WatchingGram(), aggregator="sum", representation="shared"
    )
    model.train_on_batch(X, Y)
    assert (np.linalg.eigvalsh(seen(model)) > 0).all()


@pytest.mark.slow
def test_gradient_gram_of_absent_tasks_is_nan():
    labels = {"a": np.full_like(Y["a"], np.nan), "b": Y["b"]}
    model = make_model(WatchingGram(), missing_label=np.nan)
    model.train_on_batch(X, labels)
    np.testing.assert_array_equal(
        np.isnan(seen(model)), [[True, True], [True, False]]
    )


@pytest.mark.slow
def test_absent_tasks_are_nan():
    labels = {"a": np.full_like(Y["a"], np.nan), "b": Y["b"]}
    model = make_model(Watching(), missing_label=np.nan)
    model.train_on_batch(X, labels)
    np.testing.assert_array_equal(np.isnan(seen(model)), [[True, False]] * 3)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
