import keras
import numpy as np
import pytest

import keras_mtl
from keras_mtl.selection import AffinityMonitor
from keras_mtl.selection import group_tasks

pytestmark = pytest.mark.backend

NAN = float("nan")
RATE = 0.05
X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = {"a": X[:, :1], "b": 2 * X[:, :1], "c": X[:, 1:2] - 3}


def make_model(optimizer=None, **kwargs):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(3, use_bias=False, name="shared")(inputs)
    outputs = {
        t: keras.layers.Dense(1, use_bias=False, name=t)(shared) for t in Y
    }
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    model.compile(
        optimizer or keras.optimizers.SGD(RATE),
        loss={t: "mse" for t in Y},
        **kwargs,
    )
    return model


def fit(model, *callbacks, **kwargs):
    kwargs = {"epochs": 2, "batch_size": 4, "shuffle": False, **kwargs}
    return model.fit(X, Y, callbacks=list(callbacks), verbose=0, **kwargs)


def affinity(weights, rate=RATE):
    """The formula, by hand in float64."""
    trunk, *heads = [w.astype("float64") for w in weights]

    def loss(j, trunk):
        return np.mean((X @ trunk @ heads[j] - list(Y.values())[j]) ** 2)

    result = np.zeros((3, 3))
    for i, y in enumerate(Y.values()):
        error = 2 * (X @ trunk @ heads[i] - y) / len(X)
        moved = trunk - rate * X.T @ error @ heads[i].T
        for j in range(3):
            result[i, j] = 1 - loss(j, moved) / loss(j, trunk)
    return result


class Weights(keras.callbacks.Callback):
    """The weights before each batch, and at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.batches.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(self.model.get_weights())


def check(monitor, steps, weights, rate=RATE):
    history = monitor.history
    np.testing.assert_array_equal(history.steps, steps)
    expected = np.stack([affinity(w, rate) for w in weights])
    assert np.median(np.abs(expected)) > 1e-3
    np.testing.assert_allclose(history.affinities, expected, atol=2e-5)
    np.testing.assert_allclose(
        monitor.mean_affinity, expected.mean(axis=0), atol=2e-5
    )


class TestFit:
    @pytest.mark.slow
    @pytest.mark.parametrize("aggregator", [None, "pcgrad"])
    def test_every_epoch(self, aggregator):
        monitor, weights = AffinityMonitor((X, Y)), Weights()
        fit(make_model(aggregator=aggregator), monitor, weights)
        assert monitor.history.task_names == ["a", "b", "c"]
        check(monitor, [6, 12], weights.epochs)

    def test_every_so_many_steps(self):
        monitor, weights = AffinityMonitor((X, Y), frequency=4), Weights()
        fit(make_model(), monitor, weights)
        batches = [weights.batches[step] for step in (4, 8)]
        # The last step has no next one: its weights are those of the epoch.
        check(monitor, [4, 8, 12], [*batches, weights.epochs[-1]])

    @pytest.mark.slow
    def test_several_steps_at_once(self):
        monitor = AffinityMonitor((X, Y), frequency=3)
        fit(make_model(steps_per_execution=2), monitor)
        np.testing.assert_array_equal(monitor.history.steps, [4, 6, 10, 12])

    @pytest.mark.slow
    def test_over_several_calls_of_fit(self):
        monitor, weights = AffinityMonitor((X, Y)), Weights()
        model = make_model()
        fit(model, monitor, weights, epochs=1)
        fit(model, monitor, weights, epochs=1)
        check(monitor, [6, 12], weights.epochs)

    @pytest.mark.slow
    def test_a_rate_of_its_own(self):
        monitor, weights = AffinityMonitor((X, Y), learning_rate=0.2), Weights()
        fit(make_model("adam"), monitor, weights)
        check(monitor, [6, 12], weights.epochs, rate=0.2)

    @pytest.mark.slow
    def test_current_rate_of_a_schedule(self):
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [6], [RATE, 0.5 * RATE]
        )
        monitor, weights = AffinityMonitor((X, Y)), Weights()
        fit(make_model(keras.optimizers.SGD(schedule)), monitor, weights)
        expected = affinity(weights.epochs[-1], 0.5 * RATE)
        found = monitor.history.affinities[-1]
        np.testing.assert_allclose(found, expected, atol=2e-5)

    @pytest.mark.slow
    def test_losses_below_zero(self):
        """Steps on a loss lower it, whatever its sign."""
        model = make_model()
        cosine = keras.losses.CosineSimilarity(axis=0)
        model.compile(keras.optimizers.SGD(RATE), {t: cosine for t in Y})
        monitor = AffinityMonitor((X, Y))
        logs = fit(model, monitor, epochs=20).history
        assert max(logs[f"{t}_loss"][-1] for t in Y) < -0.1
        assert np.all(np.diag(monitor.history.affinities[-1]) > 0)

    @pytest.mark.slow
    def test_without_sample_weights(self):
        monitor = AffinityMonitor((X, Y, None))
        fit(make_model(), monitor)
        assert len(monitor.history.steps) == 2

    @pytest.mark.skipif(
        keras.backend.backend() != "jax", reason="others hold no copies"
    )
    def test_steps_do_not_wait_for_it(self):
        def syncs(*callbacks):
            calls, model = [], make_model()
            sync = model.jax_state_sync
            model.jax_state_sync = lambda: calls.append(sync())
            fit(model, *callbacks, epochs=1, batch_size=1)
            return len(calls)

        monitor = AffinityMonitor((X, Y))
        # Some at the beginning and at the end of an epoch.
        assert syncs(monitor) < syncs() + 8 < len(X)

    @pytest.mark.slow
    def test_training_is_as_without_it(self):
        plain, watched = make_model("adam"), make_model("adam")
        fit(plain)
        fit(watched, AffinityMonitor((X, Y), frequency=1))
        for left, right in zip(
            plain.get_weights(), watched.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(left, right)

    @pytest.mark.slow
    def test_a_task_without_labels_is_unknown(self):
        y = {**Y, "a": np.full_like(Y["a"], NAN)}
        monitor = AffinityMonitor((X, y))
        fit(make_model(missing_label=NAN), monitor)
        mean = monitor.mean_affinity
        assert np.isnan(mean[:, 0]).all()
        np.testing.assert_allclose(mean[0, 1:], 0, atol=1e-6)
        assert np.isfinite(mean[:, 1:]).all()


@pytest.mark.slow
def test_finds_the_group_that_was_planted():
    """Two tasks want a direction of the trunk, two others its opposite."""
    random = np.random.default_rng(0)
    x = random.normal(size=(256, 6)).astype("float32")
    w = random.normal(size=(6, 1)).astype("float32")
    y = {"p": x @ w, "q": 0.8 * x @ w, "r": -x @ w, "s": -1.2 * x @ w}
    inputs = keras.Input((6,))
    shared = keras.layers.Dense(1, use_bias=False)(inputs)
    # Heads that do not learn: what is at stake is the trunk alone.
    outputs = {
        t: keras.layers.Dense(
            1,
            name=t,
            use_bias=False,
            kernel_initializer="ones",
            trainable=False,
        )(shared)
        for t in y
    }
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.01), {t: "mse" for t in y})
    monitor = AffinityMonitor((x, y))
    model.fit(x, y, epochs=2, callbacks=[monitor], verbose=0)
    groups = group_tasks(monitor.mean_affinity, 2, monitor.history.task_names)
    assert sorted(group.served for group in groups) == [["p", "q"], ["r", "s"]]
    assert np.all(monitor.mean_affinity[:2, 2:] < 0)
    assert np.all(monitor.mean_affinity[:2, :2] > 0)


class TestBadInput:
    @pytest.mark.parametrize("batch", [X, (X,), (X, Y, None, None), None])
    def test_batch(self, batch):
        with pytest.raises(ValueError, match="`batch` must be a pair"):
            AffinityMonitor(batch)

    @pytest.mark.parametrize(
        "batch",
        [
            (X[:4], Y),
            (X, {**Y, "a": Y["a"][:4]}),
            (X, Y, np.ones(4)),
            (X[:0], {t: labels[:0] for t, labels in Y.items()}),
            (X, None),
            ("x", Y),
        ],
    )
    def test_lengths(self, batch):
        with pytest.raises(ValueError, match="`batch` must have one length"):
            AffinityMonitor(batch)

    @pytest.mark.slow
    def test_labels(self):
        labels = {("aa" if t == "a" else t): y for t, y in Y.items()}
        # Nothing before it: the error itself, not where it was raised.
        with pytest.raises(ValueError, match=r"^`y` has entries.*'aa'.*\['a'"):
            fit(make_model(), AffinityMonitor((X, labels)))

    @pytest.mark.slow
    def test_no_labels(self):
        labels = {t: np.full_like(y, NAN) for t, y in Y.items()}
        with pytest.raises(ValueError, match="`batch`.*no labels.*'a'"):
            fit(make_model(missing_label=NAN), AffinityMonitor((X, labels)))

    @pytest.mark.parametrize("frequency", [0, 1.5, "step", None])
    def test_frequency(self, frequency):
        with pytest.raises(ValueError, match="`frequency`"):
            AffinityMonitor((X, Y), frequency=frequency)

    @pytest.mark.parametrize("rate", [0, -1.0, NAN])
    def test_learning_rate(self, rate):
        with pytest.raises(ValueError, match="`learning_rate`"):
            AffinityMonitor((X, Y), learning_rate=rate)

    def test_model_of_keras(self):
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match="MultiTaskModel.*Sequential"):
            model.fit(X, Y["a"], callbacks=[AffinityMonitor((X, Y))], verbose=0)

    @pytest.mark.slow
    def test_nothing_measured(self):
        monitor = AffinityMonitor((X, Y), frequency=100)
        fit(make_model(), monitor)
        with pytest.raises(ValueError, match="Nothing was measured.*100"):
            monitor.mean_affinity

    @pytest.mark.slow
    def test_tasks_of_another_model(self):
        monitor = AffinityMonitor((X, Y))
        fit(make_model(), monitor, epochs=1)
        inputs = keras.Input((4,))
        shared = keras.layers.Dense(2)(inputs)
        other = keras_mtl.MultiTaskModel(
            inputs, {t: keras.layers.Dense(1, name=t)(shared) for t in "ab"}
        )
        other.compile("sgd", {t: "mse" for t in "ab"})
        with pytest.raises(ValueError, match="one set of tasks"):
            y = {t: Y[t] for t in "ab"}
            monitor.batch = monitor.batch[0], y
            other.fit(X, y, callbacks=[monitor], verbose=0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
