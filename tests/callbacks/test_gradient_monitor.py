import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl import MultiTaskModel
from keras_mtl.aggregators import Aggregator
from keras_mtl.callbacks import GradientMonitor
from tests.callbacks.common import read_scalars
from tests.tiers import slow
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = {
    "left": X[:, :1] - 2 * X[:, 1:2],
    "right": 3 * X[:, 1:2] + X[:, 2:],
}
LEARNING_RATE = 0.05


def make_model(model_class=MultiTaskModel, aggregator="sum", **kwargs):
    inputs = keras.Input((3,))
    trunk = keras.layers.Dense(2, use_bias=False, name="trunk")(inputs)
    outputs = {
        name: keras.layers.Dense(1, use_bias=False, name=name)(trunk)
        for name in Y
    }
    model = model_class(inputs, outputs)
    if aggregator is not None:
        kwargs["aggregator"] = aggregator
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE),
        loss={name: "mse" for name in Y},
        **kwargs,
    )
    return model


def fit(model, *callbacks, **kwargs):
    kwargs = {"batch_size": 4, "shuffle": False, "verbose": 0, **kwargs}
    return model.fit(X, Y, callbacks=list(callbacks), **kwargs)


def trunk_gradients(weights, x, y):
    """Gradients of both losses for the trunk, and the next weights."""
    trunk, *heads = weights
    rows, new = [], [trunk]
    for head, target in zip(heads, y.values()):
        error = 2 * (x @ trunk @ head - target) / len(x)
        rows.append(x.T @ error @ head.T)
        new.append(head - LEARNING_RATE * (x @ trunk).T @ error)
        new[0] = new[0] - LEARNING_RATE * rows[-1]
    return np.stack([row.ravel() for row in rows]), new


def expected_rows(model, num_steps):
    weights = [w.astype("float64") for w in model.get_weights()]
    found = []
    for step in range(num_steps):
        batch = slice(4 * (step % 6), 4 * (step % 6) + 4)
        rows, weights = trunk_gradients(
            weights, X[batch], {k: v[batch] for k, v in Y.items()}
        )
        found.append(rows)
    return np.stack(found)


@pytest.mark.slow
def test_values_are_those_of_numpy():
    model = make_model()
    rows = expected_rows(model, 12)
    monitor = GradientMonitor(every_n_steps=1)
    fit(model, monitor, epochs=2)
    history = monitor.history
    norms = np.linalg.norm(rows, axis=-1)
    cosine = np.sum(rows[:, 0] * rows[:, 1], axis=-1) / norms.prod(axis=-1)
    assert history.task_names == ("left", "right")
    np.testing.assert_array_equal(history.steps, np.arange(1, 13))
    np.testing.assert_allclose(history.norms, norms, rtol=1e-4)
    np.testing.assert_allclose(history.cosines[:, 0, 1], cosine, atol=1e-4)
    np.testing.assert_allclose(history.cosines[:, 1, 0], cosine, atol=1e-4)
    np.testing.assert_allclose(history.weights, np.ones((12, 2)))


@pytest.mark.parametrize("exponent", slow_except([-70, -66, 66, 70], -70, 70))
@pytest.mark.parametrize("aggregator", slow_except(["sum", "mgda"], "sum"))
def test_gradients_whose_squares_float32_does_not_have(exponent, aggregator):
    """About 1e-20 and 1e20: only the norms are so many times as large."""
    factor = 2.0**exponent
    model = make_model(
        aggregator=aggregator, loss_weights=dict.fromkeys(Y, factor)
    )
    model.optimizer.learning_rate = LEARNING_RATE / factor
    rows = expected_rows(model, 1)[0]
    monitor = GradientMonitor(every_n_steps=1)
    fit(model, monitor, steps_per_epoch=1)
    norms = np.linalg.norm(rows, axis=-1)
    cosine = np.sum(rows[0] * rows[1]) / norms.prod()
    history = monitor.history
    np.testing.assert_allclose(history.norms[0], factor * norms, rtol=1e-4)
    np.testing.assert_allclose(history.cosines[0, 0, 1], cosine, atol=1e-4)


def test_weights_are_those_of_the_aggregator():
    model = make_model(aggregator="pcgrad")
    monitor = GradientMonitor(every_n_steps=1)
    fit(model, monitor)
    cosine = monitor.history.cosines[:, 0, 1]
    norms = monitor.history.norms
    conflict = np.minimum(cosine, 0)[:, None]
    # Projecting the other gradient adds some of this one, in closed form.
    expected = 1 - conflict * norms[:, ::-1] / norms
    np.testing.assert_allclose(monitor.history.weights, expected, rtol=1e-4)
    assert conflict.min() < 0


@pytest.mark.slow
@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize(
    "every_n_steps, kwargs, expected",
    [
        slow((1, {}, range(1, 13))),
        slow((4, {}, [4, 8, 12])),
        slow((5, {}, [5, 10])),
        slow((6, {}, [6, 12])),
        slow((100, {}, [])),
        slow((5, {"batch_size": 5}, [5, 10])),
        (7, {"steps_per_epoch": 3, "epochs": 5}, [7, 14]),
    ],
)
def test_logs_these_steps(every_n_steps, kwargs, expected, validation):
    model = make_model()
    monitor = GradientMonitor(every_n_steps=every_n_steps)
    if validation:
        kwargs = {**kwargs, "validation_data": (X, Y)}
    fit(model, monitor, **{"epochs": 2, **kwargs})
    np.testing.assert_array_equal(monitor.history.steps, list(expected))
    assert np.all(monitor.history.norms > 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "every_n_steps, expected",
    # An epoch of 6 batches is executed as 4 and 2.
    [(1, [4, 6, 10, 12]), (3, [4, 6, 10, 12]), (5, [6, 10]), (12, [12])],
)
def test_sees_the_last_step_of_each_execution(every_n_steps, expected):
    model = make_model(steps_per_execution=4)
    rows = expected_rows(model, 12)
    monitor = GradientMonitor(every_n_steps=every_n_steps)
    fit(model, monitor, epochs=2)
    np.testing.assert_array_equal(monitor.history.steps, expected)
    norms = np.linalg.norm(rows[np.array(expected) - 1], axis=-1)
    np.testing.assert_allclose(monitor.history.norms, norms, rtol=1e-4)


# That Keras does not know the length either is what is tried.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_length_make_no_steps_up():
    def batches():
        for start in range(0, 24, 4):
            yield (
                X[start : start + 4],
                {k: v[start : start + 4] for k, v in Y.items()},
            )

    spec = (
        tf.TensorSpec((None, 3)),
        {name: tf.TensorSpec((None, 1)) for name in Y},
    )
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    monitor = GradientMonitor(every_n_steps=1)
    make_model().fit(data, epochs=2, callbacks=[monitor], verbose=0)
    np.testing.assert_array_equal(monitor.history.steps, np.arange(1, 13))


@pytest.mark.slow
def test_gradients_at_the_representation():
    model = make_model(aggregator="mgda", representation="trunk")
    trunk, *heads = model.get_weights()
    monitor = GradientMonitor(every_n_steps=1)
    fit(model, monitor, steps_per_epoch=1)
    errors = [X[:4] @ trunk @ h - y[:4] for h, y in zip(heads, Y.values())]
    norms = [np.linalg.norm(e / 2 @ h.T) for e, h in zip(errors, heads)]
    np.testing.assert_allclose(monitor.history.norms, [norms], rtol=1e-4)
    np.testing.assert_allclose(monitor.history.weights.sum(), 1.0, rtol=1e-5)


@pytest.mark.slow
def test_loss_scaling_does_not_show():
    plain, scaled = make_model(), make_model()
    scaled.set_weights(plain.get_weights())
    scaled.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
        loss={name: "mse" for name in Y},
        aggregator="sum",
    )
    norms = []
    for model in (plain, scaled):
        monitor = GradientMonitor(every_n_steps=1)
        fit(model, monitor, steps_per_epoch=1)
        norms.append(monitor.history.norms)
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-4)


@pytest.mark.parametrize(
    "arguments, name",
    [
        ({"every_n_steps": "epoch"}, "every_n_steps='epoch'"),
        ({"every_n_steps": 0}, "every_n_steps=0"),
        ({"every_n_steps": -1}, "every_n_steps=-1"),
        ({"every_n_steps": 2.5}, "every_n_steps=2.5"),
        ({"log_dir": 10}, "log_dir=10"),
    ],
)
def test_refuses(arguments, name):
    with pytest.raises(ValueError, match=f"Received: {name}"):
        GradientMonitor(**arguments)


@pytest.mark.slow
def test_counts_on_over_several_fits():
    model = make_model()
    monitor = GradientMonitor(every_n_steps=4)
    fit(model, monitor)
    fit(model, monitor)
    np.testing.assert_array_equal(monitor.history.steps, [4, 8, 12])
    resumed = GradientMonitor(every_n_steps=4)
    fit(model, resumed)
    np.testing.assert_array_equal(resumed.history.steps, [16])


@pytest.mark.slow
def test_leaves_training_as_it_is():
    results = []
    for callbacks in ([], [GradientMonitor(every_n_steps=2)]):
        keras.utils.set_random_seed(1)
        model = make_model(aggregator="pcgrad")
        logs = fit(model, *callbacks, epochs=2, validation_data=(X, Y))
        results.append((logs.history, model.get_weights()))
    assert results[0][0] == results[1][0]
    for plain, monitored in zip(results[0][1], results[1][1]):
        np.testing.assert_array_equal(plain, monitored)


jax_only = pytest.mark.skipif(
    keras.backend.backend() != "jax",
    reason="on JAX alone steps run ahead, with their state apart",
)


@jax_only
def test_keras_does_not_wait_for_each_step():
    callbacks = keras.callbacks.CallbackList([GradientMonitor()])
    assert callbacks._async_train


@jax_only
def test_state_is_read_on_logged_steps_only(monkeypatch):
    model = make_model()
    synced = []
    sync = model.jax_state_sync

    def counting():
        if not model._jax_state_synced:
            synced.append(monitor._step)
        sync()

    monitor = GradientMonitor(every_n_steps=4)
    monkeypatch.setattr(model, "jax_state_sync", counting)
    fit(model, monitor, batch_size=2)
    # Once at step 4, once at step 8, and Keras itself at the end.
    assert synced == [4, 8, 11]


@pytest.mark.slow
def test_writes_scalars_for_tensorboard(tmp_path):
    model = make_model(aggregator="pcgrad")
    monitor = GradientMonitor(tmp_path, every_n_steps=4)
    fit(model, monitor, epochs=2, validation_data=(X, Y))
    fit(model, monitor)
    scalars = read_scalars(tmp_path / "train")
    history = monitor.history
    tags = {
        "gradient_cosine/left_right": history.cosines[:, 0, 1],
        "gradient_norm/left": history.norms[:, 0],
        "gradient_norm/right": history.norms[:, 1],
        "task_weight/left": history.weights[:, 0],
        "task_weight/right": history.weights[:, 1],
    }
    expected = {
        (tag, step): value
        for tag, values in tags.items()
        for step, value in zip([4, 8, 12, 16], values)
    }
    assert scalars.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(scalars[key], value, rtol=1e-6)


@pytest.mark.slow
def test_keras_own_tensorboard_can_write_beside_it(tmp_path):
    pytest.importorskip("tensorboard")
    tensorboard = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    fit(make_model(), tensorboard, GradientMonitor(tmp_path, every_n_steps=2))
    assert len(list((tmp_path / "train").glob("*tfevents*"))) == 2


class Halved(Aggregator):
    """Needs the gradients, and so has no task weights."""

    sees = "gradients"

    def combine(self, jacobian, step):
        return keras.ops.sum(jacobian, axis=0) / 2


@pytest.mark.slow
def test_methods_without_weights_log_the_rest(tmp_path):
    monitor = GradientMonitor(tmp_path, every_n_steps=3)
    fit(make_model(aggregator=Halved()), monitor)
    assert np.all(np.isnan(monitor.history.weights))
    assert np.all(np.isfinite(monitor.history.cosines))
    tags = {tag for tag, _ in read_scalars(tmp_path / "train")}
    assert tags == {
        "gradient_cosine/left_right",
        "gradient_norm/left",
        "gradient_norm/right",
    }


@pytest.mark.slow
def test_subclassed_model():
    class Model(MultiTaskModel):
        def __init__(self):
            super().__init__()
            self.trunk = keras.layers.Dense(2)
            self.heads = {name: keras.layers.Dense(1) for name in Y}

        def call(self, x):
            return {k: head(self.trunk(x)) for k, head in self.heads.items()}

    model = Model()
    model.compile("sgd", loss={k: "mse" for k in Y}, aggregator="mean")
    monitor = GradientMonitor(every_n_steps=2)
    fit(model, monitor)
    assert monitor.history.task_names == ("left", "right")
    np.testing.assert_array_equal(monitor.history.steps, [2, 4, 6])


@pytest.mark.parametrize("model_class", [MultiTaskModel, keras.Model])
def test_model_without_aggregator(model_class):
    model = make_model(model_class, aggregator=None)
    with pytest.raises(ValueError, match="GradientMonitor.*aggregator"):
        fit(model, GradientMonitor())


@pytest.mark.slow
def test_another_models_tasks():
    monitor = GradientMonitor(every_n_steps=6)
    fit(make_model(), monitor)
    inputs = keras.Input((3,))
    trunk = keras.layers.Dense(2)(inputs)
    outputs = {name: keras.layers.Dense(1, name=name)(trunk) for name in "ab"}
    other = MultiTaskModel(inputs, outputs)
    other.compile("sgd", loss={"a": "mse", "b": "mse"}, aggregator="sum")
    with pytest.raises(ValueError, match="one set of tasks.*left.*'a'"):
        other.fit(
            X,
            dict(zip("ab", Y.values())),
            batch_size=2,
            callbacks=[monitor],
            verbose=0,
        )


def test_evaluate_and_predict_ignore_it():
    model = make_model()
    monitor = GradientMonitor(every_n_steps=1)
    model.evaluate(X, Y, callbacks=[monitor], verbose=0)
    model.predict(X, callbacks=[monitor], verbose=0)
    assert not len(monitor.history.steps)


@pytest.mark.slow
def test_plot_draws_the_history(tmp_path):
    pytest.importorskip("matplotlib")
    monitor = GradientMonitor(every_n_steps=2)
    fit(make_model(), monitor)
    figure = monitor.plot(tmp_path / "gradients.png")
    np.testing.assert_array_equal(
        figure.axes[1].lines[0].get_xdata(), [2, 4, 6]
    )
    assert (tmp_path / "gradients.png").stat().st_size > 0


@pytest.mark.slow
def test_import_is_light():
    # Keras imports matplotlib by itself where it finds it.
    code = (
        "import sys, keras, tensorflow; before = set(sys.modules); "
        "import keras_mtl.callbacks; new = set(sys.modules) - before; "
        "assert not {n.split('.')[0] for n in new}.intersection("
        "['matplotlib', 'tensorboard', 'tensorflow_datasets'])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
