"""Saved and loaded, a training goes on as if it had never stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries
from keras_mtl import aggregators
from keras_mtl import weightings
from tests.tiers import slow
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
QUICK = {"jit_compile": False} if ON_TENSORFLOW else {}
LOSS = {
    "a": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "b": "mse",
    "c": "mae",
}


@keras.saving.register_keras_serializable(package="test_saving")
class Alternating(aggregators.Aggregator):
    """A method of a user, with state: one task after the other."""

    def __init__(self, strength: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.strength = strength
        self.turn = self.add_state("turn", dtype="int32")

    def weights(self, gram):
        size = gram.shape[-1]
        chosen = ops.one_hot(self.turn % size, size, dtype=gram.dtype)
        return self.strength * chosen * ops.ones_like(gram[..., 0])

    def update(self, gram, step):
        weights = super().update(gram, step)
        self.turn.assign(self.turn + 1)
        return weights

    def get_config(self):
        return {**super().get_config(), "strength": self.strength}


METHODS: dict[str, Callable[[], dict]] = {
    "pcgrad": lambda: {"aggregator": aggregators.PCGrad(seed=5)},
    "pcgrad_unseeded": lambda: {"aggregator": "pcgrad"},
    "projection": lambda: {"aggregator": aggregators.Projection("b")},
    "orthogonal": lambda: {
        "aggregator": aggregators.Orthogonal(
            "a", smoothing=0.3, granularity="layer"
        )
    },
    "uncertainty": lambda: {"weighting": weightings.Uncertainty(["b"])},
    "uncertainty_with_own_rate": lambda: {
        "aggregator": aggregators.PCGrad(seed=6, granularity="variable"),
        "weighting": weightings.Uncertainty(learning_rate=0.1),
    },
    "own": lambda: {"aggregator": Alternating(strength=2.0)},
    "mgda_ub": lambda: {"aggregator": "mgda", "representation": "shared"},
}
each_method = pytest.mark.parametrize("method", METHODS)


def make_data(rows: int = 24) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype("float32")
    y = {
        "a": rng.integers(0, 3, rows),
        "b": rng.normal(size=(rows, 1)).astype("float32"),
        "c": rng.normal(size=(rows, 1)).astype("float32"),
    }
    return x, y


def functional() -> keras.Model:
    # No `Dropout`: its random state is in none of the files of Keras.
    inputs = keras.Input((4,))
    tensor = layers.Dense(5, activation="tanh", name="shared")(inputs)
    units = {"a": 3, "b": 1, "c": 1}
    outputs = {n: layers.Dense(k, name=n)(tensor) for n, k in units.items()}
    return MultiTaskModel(inputs, outputs)


@keras.saving.register_keras_serializable(package="test_saving")
class Subclassed(MultiTaskModel):
    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.shared = layers.Dense(5, activation="tanh", name="shared")
        units = {"a": 3, "b": 1, "c": 1}
        self.heads = {n: layers.Dense(k, name=n) for n, k in units.items()}

    def build(self, input_shape):
        self.shared.build(input_shape)
        for head in self.heads.values():
            head.build((None, 5))

    def call(self, inputs):
        tensor = self.shared(inputs)
        return {name: head(tensor) for name, head in self.heads.items()}


@keras.saving.register_keras_serializable(package="test_saving")
class OwnCompile(Subclassed):
    """A user's `compile`, with arguments of its own."""

    def compile(self, strength: float) -> None:
        super().compile("sgd", LOSS, loss_weights=[1, strength, 1], **QUICK)


def subclassed() -> keras.Model:
    model = Subclassed()
    model.build((None, 4))
    return model


def compiled(model: keras.Model, method: str, **arguments: Any) -> keras.Model:
    model.compile(
        **{"optimizer": keras.optimizers.Adam(0.02), "loss": LOSS}
        | METHODS[method]()
        | QUICK
        | arguments
    )
    return model


def train(model: keras.Model, epochs: int = 1, **arguments: Any) -> dict:
    x, y = make_data()
    return model.fit(
        x,
        y,
        **{"batch_size": 8, "epochs": epochs, "shuffle": False, "verbose": 0}
        | arguments,
    ).history


def state(model: keras.Model) -> list[np.ndarray]:
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(v) for v in variables]


def assert_same_state(one: keras.Model, other: keras.Model) -> None:
    values = state(one), state(other)
    assert len(values[0]) == len(values[1])
    for left, right in zip(*values):
        np.testing.assert_allclose(left, right, atol=1e-6)


def assert_goes_on(original: keras.Model, loaded: keras.Model) -> None:
    """One more epoch of each, from the same state to the same state."""
    assert_same_state(original, loaded)
    before = state(original)
    logs = train(original), train(loaded)
    assert logs[0].keys() == logs[1].keys()
    for name, values in logs[0].items():
        np.testing.assert_allclose(values, logs[1][name], atol=1e-6)
    assert_same_state(original, loaded)
    moved = [np.any(a != b) for a, b in zip(before, state(original))]
    assert np.mean(moved) > 0.5


class TestModelFile:
    @pytest.mark.parametrize("method", slow_except(METHODS, "pcgrad"))
    def test_functional(self, method, tmp_path):
        model = compiled(functional(), method)
        train(model)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert isinstance(loaded, MultiTaskModel)
        for kind in ("aggregator", "weighting"):
            one, other = getattr(model, kind), getattr(loaded, kind)
            assert type(one) is type(other) and one is not other or one is None
            if one is not None:
                assert one.get_config() == other.get_config()
        assert loaded.task_names == ["a", "b", "c"]
        assert_goes_on(model, loaded)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "method",
        slow_except(["pcgrad", "projection", "uncertainty", "own"], "own"),
    )
    def test_subclassed(self, method, tmp_path):
        model = compiled(subclassed(), method)
        train(model)
        model.save(tmp_path / "model.keras")
        assert_goes_on(model, keras.saving.load_model(tmp_path / "model.keras"))

    @pytest.mark.parametrize(
        "make, method",
        [
            slow((functional, "projection")),
            slow((subclassed, "projection")),
            # What it trains comes with the first batch, after the optimizer.
            (subclassed, "uncertainty"),
        ],
    )
    # The optimizer has no state before the first step.
    @pytest.mark.filterwarnings(
        "ignore:Skipping variable loading for optimizer"
    )
    def test_before_training(self, make, method, tmp_path):
        model = compiled(make(), method)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        train(model), train(loaded)
        assert_same_state(model, loaded)

    # The optimizer has no state before the first step.
    @pytest.mark.filterwarnings(
        "ignore:Skipping variable loading for optimizer"
    )
    def test_a_class_that_is_not_registered_is_named(self, tmp_path):
        class Unregistered(aggregators.Sum):
            pass

        model = compiled(functional(), "own", aggregator=Unregistered())
        model.save(tmp_path / "model.keras")
        with pytest.raises(TypeError, match="locate class 'Unregistered'"):
            keras.saving.load_model(tmp_path / "model.keras")
        loaded = keras.saving.load_model(
            tmp_path / "model.keras",
            custom_objects={"Unregistered": Unregistered},
        )
        assert isinstance(loaded.aggregator, Unregistered)

    @pytest.mark.slow
    def test_a_compile_of_the_users_own_is_left_to_them(self, tmp_path):
        model = OwnCompile()
        model.compile(strength=0.5)
        train(model)
        model.save(tmp_path / "model.keras")
        with pytest.warns(
            UserWarning, match="`compile\\(\\)` method is custom"
        ):
            loaded = keras.models.load_model(tmp_path / "model.keras")
        assert loaded.loss is None
        x = make_data()[0]
        before, after = (m.predict(x, verbose=0) for m in (model, loaded))
        np.testing.assert_allclose(before["b"], after["b"], atol=1e-6)

    @pytest.mark.slow
    def test_without_compiling_and_then_with_the_method(self, tmp_path):
        optimizer = keras.optimizers.SGD(0.02)
        model = compiled(functional(), "projection", optimizer=optimizer)
        train(model)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(
            tmp_path / "model.keras", compile=False
        )
        assert loaded.aggregator is None
        compiled(loaded, "projection", optimizer=keras.optimizers.SGD(0.02))
        train(model), train(loaded)
        for one, other in zip(model.variables, loaded.variables):
            np.testing.assert_allclose(one, other, atol=1e-6)

    @pytest.mark.slow
    def test_another_method_after_loading(self, tmp_path):
        model = compiled(functional(), "uncertainty_with_own_rate")
        train(model)
        for _ in range(2):
            model.save(tmp_path / "model.keras")
            model = keras.saving.load_model(tmp_path / "model.keras")
            compiled(model, "projection")
            assert model.weighting is None
            assert len(model.method_state.variables) == len(model.weights)
            train(model)
        model.save(tmp_path / "model.keras")
        assert_goes_on(model, keras.saving.load_model(tmp_path / "model.keras"))

    @pytest.mark.slow
    def test_frozen_then_thawed(self, tmp_path):
        model = functional()
        model.get_layer("shared").trainable = True
        model.get_layer("b").trainable = False
        compiled(model, "uncertainty")
        train(model)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert not loaded.get_layer("b").trainable
        assert_goes_on(model, loaded)
        frozen = np.array(loaded.get_layer("b").kernel)
        loaded.get_layer("b").trainable = True
        train(compiled(loaded, "projection"))
        assert np.any(np.array(loaded.get_layer("b").kernel) != frozen)

    # The optimizer has no state before the first step.
    @pytest.mark.slow
    @pytest.mark.filterwarnings(
        "ignore:Skipping variable loading for optimizer"
    )
    def test_missing_labels(self, tmp_path):
        missing = {"a": -1, "b": float("nan")}
        model = compiled(functional(), "pcgrad", missing_label=missing)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        x, y = make_data()
        y["a"][::2] = -1
        y["b"][1::2] = np.nan
        logs = [
            m.fit(x, y, batch_size=8, shuffle=False, verbose=0).history
            for m in (model, loaded)
        ]
        assert logs[0] == logs[1]
        assert np.isfinite(list(logs[0].values())).all()
        assert_same_state(model, loaded)

    @pytest.mark.slow
    @pytest.mark.parametrize("as_tasks", [False, True])
    def test_self_auxiliaries(self, as_tasks, tmp_path):
        model = add_self_auxiliaries(functional(), "shared", as_tasks=as_tasks)
        compiled(model, "projection")
        train(model)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert_goes_on(model, loaded)
        assert "a_aux_loss" in train(loaded)


class TestWeightsFile:
    @pytest.mark.parametrize(
        "method",
        slow_except(["pcgrad", "projection", "uncertainty"], "uncertainty"),
    )
    @pytest.mark.parametrize(
        "make", slow_except([functional, subclassed], subclassed)
    )
    def test_loaded_after_compile(self, method, make, tmp_path):
        path = tmp_path / "model.weights.h5"
        models = []
        for _ in range(2):
            model = compiled(
                make(), method, optimizer=keras.optimizers.SGD(0.05)
            )
            models.append(model)
        train(models[0])
        models[0].save_weights(path)
        models[1].load_weights(path)
        if make is functional:
            assert_same_method_state(*models)
        for model in models:
            train(model, epochs=2)
        assert_same_method_state(*models)

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["pcgrad", "projection"])
    def test_loaded_before_compile(self, method, tmp_path):
        path = tmp_path / "model.weights.h5"
        optimizers = [keras.optimizers.SGD(0.05) for _ in range(2)]
        model = compiled(functional(), method, optimizer=optimizers[0])
        train(model)
        model.save_weights(path)
        other = functional()
        other.load_weights(path)
        compiled(other, method, optimizer=optimizers[1])
        assert_same_method_state(model, other)
        train(model), train(other)
        assert_same_method_state(model, other)

    # The optimizer has no state before the first step.
    @pytest.mark.slow
    @pytest.mark.filterwarnings(
        "ignore:Skipping variable loading for optimizer"
    )
    def test_of_a_plain_model_and_back(self, tmp_path):
        path = tmp_path / "model.weights.h5"
        model = compiled(functional(), "pcgrad")
        train(model)
        config = {
            "inputs": model.input,
            "outputs": model.output,
        }
        plain = keras.models.clone_model(keras.Model(**config))
        assert not isinstance(plain, MultiTaskModel)
        model.save_weights(path)
        plain.load_weights(path)
        same_weights(plain, model)
        plain.set_weights([w + 1 for w in plain.get_weights()])
        plain.save_weights(path)
        seed = [np.array(v) for v in model.method_state.variables]
        model.load_weights(path)
        same_weights(plain, model)
        for one, other in zip(seed, model.method_state.variables):
            np.testing.assert_array_equal(one, other)

    def test_set_weights_agrees_with_a_plain_model(self):
        model = compiled(functional(), "projection")
        plain = keras.Model(model.input, model.output)
        plain.set_weights(model.get_weights())
        assert model.count_params() == plain.count_params()


def same_weights(one: keras.Model, other: keras.Model) -> None:
    for left, right in zip(one.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(left, right)


def assert_same_method_state(one: keras.Model, other: keras.Model) -> None:
    for left, right in zip(one.variables, other.variables):
        np.testing.assert_allclose(left, right, atol=1e-6)
    assert one.method_state.variables


class TestCallbacks:
    @pytest.mark.slow
    @pytest.mark.parametrize("weights_only", [False, True])
    def test_model_checkpoint(self, weights_only, tmp_path):
        ending = "weights.h5" if weights_only else "keras"
        checkpoint = keras.callbacks.ModelCheckpoint(
            str(tmp_path / f"{{epoch}}.{ending}"),
            save_weights_only=weights_only,
        )
        model = compiled(functional(), "projection")
        train(model, epochs=2, callbacks=[checkpoint])
        if weights_only:
            first = compiled(functional(), "projection")
            first.optimizer.build(first.trainable_variables)
            first.load_weights(tmp_path / "1.weights.h5")
        else:
            first = keras.saving.load_model(tmp_path / "1.keras")
        train(first)
        assert_same_state(model, first)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "make, method",
        [(functional, "uncertainty_with_own_rate"), (subclassed, "projection")],
    )
    def test_backup_and_restore_after_kill(self, make, method, tmp_path):
        program = (
            "import runpy, sys; _, file, *arguments = sys.argv;"
            "runpy.run_path(file)['train_until_killed'](*arguments)"
        )
        arguments = [make.__name__, method, str(tmp_path / "backup")]
        done = subprocess.run(
            [sys.executable, "-c", program, __file__, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
        assert list(Path(arguments[2]).iterdir())
        resumed, logs = train_with_backup(*arguments)
        # It was killed in the third of four epochs.
        assert len(logs["loss"]) == 2
        keras.utils.set_random_seed(0)
        at_once = compiled(make(), method)
        full_logs = train(at_once, epochs=4)
        assert_same_state(at_once, resumed)
        for name, values in logs.items():
            np.testing.assert_allclose(values, full_logs[name][2:], atol=1e-6)


def train_with_backup(
    make: str, method: str, folder: str, *callbacks: Any
) -> tuple[keras.Model, dict]:
    keras.utils.set_random_seed(0)
    model = compiled({"functional": functional}.get(make, subclassed)(), method)
    backup = keras.callbacks.BackupAndRestore(folder)
    return model, train(model, epochs=4, callbacks=[backup, *callbacks])


def train_until_killed(*arguments: str) -> None:
    """What the process does that is killed in the midst of an epoch."""

    class Kill(keras.callbacks.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == 2 and batch == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    train_with_backup(*arguments, Kill())


@pytest.mark.slow
@pytest.mark.parametrize("auxiliaries", [False, True])
def test_export_serves_the_plain_outputs(auxiliaries, tmp_path):
    import tensorflow as tf

    model = functional()
    if auxiliaries:
        model = add_self_auxiliaries(model, "shared")
    compiled(model, "projection")
    train(model)
    model.export(str(tmp_path / "served"), verbose=False)
    x, y = make_data()
    artifact = tf.saved_model.load(str(tmp_path / "served"))
    served = artifact.serve(x)
    expected = model.predict(x, verbose=0)
    assert served.keys() == expected.keys() == y.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(served[name], values, atol=1e-6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
