import json
import os
import warnings

import keras
import numpy as np
import pytest

import keras_mtl
from keras_mtl.callbacks import BackupAndRestore
from keras_mtl.callbacks import backup_and_restore
from tests.tiers import slow
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = X[:, :1] - X[:, 1:2]
EPOCHS = 4


class Killed(BaseException):
    """What no code catches."""


class KillIn(keras.callbacks.Callback):
    def __init__(self, epoch, batch=1):
        super().__init__()
        self.at = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise Killed


def make_model(units=4, dropout=0.3):
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((3,)),
        keras.layers.Dense(units, activation="tanh"),
        keras.layers.Dropout(dropout, seed=1),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=False)
    return model


def make_multi_task_model():
    """With state of both methods."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, activation="tanh")(inputs)
    x = keras.layers.Dropout(0.3, seed=1)(x)
    model = keras_mtl.MultiTaskModel(
        inputs, [keras.layers.Dense(1, name=name)(x) for name in ("a", "b")]
    )
    model.compile(
        keras.optimizers.Adam(0.1),
        loss=["mse", "mae"],
        aggregator="moco",
        weighting="dynamic_weight_average",
        jit_compile=False,
    )
    return model


class Subclassed(keras_mtl.MultiTaskModel):
    """Its method has no state before its first batch (on TensorFlow)."""

    def __init__(self, dropout=0.3):
        super().__init__()
        self.shared = keras.layers.Dense(4, activation="tanh")
        self.random = [
            keras.layers.Dropout(dropout, seed=1),
            keras.layers.GaussianNoise(0.1, seed=2),
        ]
        self.heads = [keras.layers.Dense(1), keras.layers.Dense(1)]

    def call(self, inputs, training=False):
        x = self.shared(inputs)
        for layer in self.random:
            x = layer(x, training=training)
        return [head(x) for head in self.heads]


def make_subclassed_model(aggregator="moco", weighting=None, **kwargs):
    keras.utils.set_random_seed(0)
    model = Subclassed(**kwargs)
    model(X)
    model.compile(
        keras.optimizers.Adam(0.1),
        loss=["mse", "mae"],
        aggregator=aggregator,
        weighting=weighting,
        jit_compile=False,
    )
    return model


def fit(*callbacks, model=None, epochs=EPOCHS):
    model = model or make_model()
    logs = model.fit(
        X,
        [Y, Y] if isinstance(model, keras_mtl.MultiTaskModel) else Y,
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    return logs.history["loss"], model.get_weights()


def kill(*callbacks, **kwargs):
    with pytest.raises(Killed):
        fit(*callbacks, **kwargs)


def assert_goes_on(folder, whole, epoch, model=None, **kwargs):
    """A new process goes on in this epoch, and ends where no kill does."""
    losses, weights = fit(BackupAndRestore(folder, **kwargs), model=model)
    assert losses == whole[0][epoch:]
    for left, right in zip(weights, whole[1]):
        np.testing.assert_array_equal(left, right)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def whole():
    return fit()


@pytest.fixture(scope="module")
def plain():
    return fit(model=make_model(dropout=0.0))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "new" / "backup"


@pytest.fixture
def kill_at_save(monkeypatch):
    """Stands for a kill in the save of an epoch, at a step of it."""

    def choose(epoch, step):
        saves = iter(range(1, EPOCHS + 1))

        class Dying(BackupAndRestore):
            def _save_model(self):
                if next(saves) != epoch:
                    return super()._save_model()
                with monkeypatch.context() as patch:
                    if step == "weights":
                        patch.setattr(self.model, "save_weights", tear)
                    else:
                        patch.setattr(*step, die)
                    super()._save_model()

        return Dying

    def tear(path):
        make = keras.Model.save_weights
        make(make_model(), path)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        raise Killed

    def die(*_, **__):
        raise Killed

    return choose


class TestBackup:
    def test_goes_on_as_if_never_killed(self, folder, whole):
        kill(BackupAndRestore(folder), KillIn(2))
        assert names(folder) == ["1.weights.h5", "states.json"]
        assert_goes_on(folder, whole, 2)
        assert not folder.exists()

    @pytest.mark.slow
    def test_all_that_methods_remember_goes_on(self, folder):
        whole = fit(model=make_multi_task_model())
        backup = BackupAndRestore(folder)
        kill(backup, KillIn(2), model=make_multi_task_model())
        assert_goes_on(folder, whole, 2, model=make_multi_task_model())

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "settings",
        [
            {"aggregator": "moco"},
            {"aggregator": "moco", "weighting": "random_loss_weighting"},
            # It trains a variable, which the optimizer has to know.
            {"aggregator": None, "weighting": "uncertainty"},
        ],
        ids=["moco", "with_a_seed", "trained"],
    )
    def test_a_subclassed_model_goes_on(self, folder, settings):
        whole = fit(model=make_subclassed_model(**settings))
        model = make_subclassed_model(**settings)
        kill(BackupAndRestore(folder), KillIn(2), model=model)
        [state] = json.loads((folder / "states.json").read_text())
        # Three batches an epoch; all else is in the file of weights.
        assert list(state["seeds"].values()) == [[1, 6], [2, 6]]
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*(random layers|The file)")
            model = make_subclassed_model(**settings)
            assert_goes_on(folder, whole, 2, model=model)

    @pytest.mark.parametrize("double", slow_except([False, True], True))
    @pytest.mark.parametrize(
        "step, saved",
        [
            slow(("weights", 2)),  # in the middle of the weights
            ((backup_and_restore, "to_disk"), 2),  # after them
            slow(((backup_and_restore, "write_whole"), 2)),
            slow(((os, "replace"), 2)),
            ((BackupAndRestore, "_tidy"), 3),  # what says that they are there
        ],
    )
    def test_killed_while_it_saves(
        self, folder, whole, kill_at_save, step, saved, double
    ):
        kill(kill_at_save(3, step)(folder, double_checkpoint=double))
        assert_goes_on(folder, whole, saved, double_checkpoint=double)

    @pytest.mark.slow
    def test_killed_while_it_removes_the_backup(self, folder, monkeypatch):
        """Keras would begin with the last epoch, and with new weights."""
        remove, removed = os.unlink, []

        def unlink(path, **kwargs):
            if removed:
                raise Killed
            remove(path, **kwargs)
            removed.append(path)

        class Dying(BackupAndRestore):
            def on_train_end(self, logs=None):
                with monkeypatch.context() as patch:
                    patch.setattr(os, "unlink", unlink)
                    super().on_train_end(logs)

        kill(Dying(folder))
        assert names(folder) == ["1.weights.h5"]
        assert len(fit(BackupAndRestore(folder))[0]) == EPOCHS

    @pytest.mark.slow
    @pytest.mark.parametrize("double", [False, True])
    def test_a_finished_training_is_not_trained_again(self, folder, double):
        kwargs = {"delete_checkpoint": False, "double_checkpoint": double}
        losses, weights = fit(BackupAndRestore(folder, **kwargs))
        assert len(names(folder)) == 2 + double
        again, restored = fit(BackupAndRestore(folder, **kwargs), epochs=6)
        assert len(losses) == EPOCHS and len(again) == 2

    @pytest.mark.slow
    def test_every_few_batches(self, folder, whole):
        """The epoch begins anew, with the weights that were saved in it."""
        kill(BackupAndRestore(folder, save_freq=2), KillIn(2, batch=2))
        [state] = json.loads((folder / "states.json").read_text())
        assert (state["epoch"], state["batch"]) == (2, 1)
        assert len(fit(BackupAndRestore(folder))[0]) == EPOCHS - 2

    @pytest.mark.slow
    def test_never(self, folder):
        fit(BackupAndRestore(folder, save_freq=False), epochs=1)
        assert not folder.exists()

    def test_files_of_others_stay(self, folder):
        folder.mkdir(parents=True)
        (folder / "notes.txt").touch()
        fit(BackupAndRestore(folder), epochs=1)
        assert names(folder) == ["notes.txt"]


class TestDamage:
    @pytest.mark.slow
    def test_the_one_before_is_restored(self, folder, whole):
        kill(BackupAndRestore(folder, double_checkpoint=True), KillIn(3))
        last, _ = json.loads((folder / "states.json").read_text())
        (folder / last["weights"]).write_bytes(b"torn")
        with pytest.warns(UserWarning, match=f"{last['weights']}' cannot be"):
            assert_goes_on(folder, whole, 2, double_checkpoint=True)

    @pytest.mark.slow
    def test_nothing_can_be_restored(self, folder):
        kill(BackupAndRestore(folder), KillIn(2))
        (folder / "1.weights.h5").unlink()
        with pytest.raises(ValueError, match="1.weights.h5' cannot be res"):
            fit(BackupAndRestore(folder))

    def test_a_subclassed_model_with_other_tasks(self, folder):
        kill(BackupAndRestore(folder), KillIn(2), model=make_subclassed_model())
        [state] = json.loads((folder / "states.json").read_text())
        assert state["task_names"] == ["mse", "mae"]
        state["task_names"] = ["a", "b"]
        (folder / "states.json").write_text(json.dumps([state]))
        if keras.backend.backend() == "jax":
            return  # there, tasks are known before the backup is restored
        with pytest.raises(ValueError, match="restored.*'a', 'b'.*'mse'"):
            fit(BackupAndRestore(folder), model=make_subclassed_model())

    @pytest.mark.slow
    def test_another_model(self, folder):
        kill(BackupAndRestore(folder), KillIn(2))
        with pytest.raises(ValueError, match="cannot be restored into this"):
            fit(BackupAndRestore(folder), model=make_model(units=5))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{",
            '{"epoch": 1}',
            '[{"epoch": "1", "batch": 0, "weights": "0.weights.h5"}]',
            '[{"epoch": -1, "batch": 0, "weights": "0.weights.h5"}]',
            '[{"epoch": 1, "batch": 0, "weights": "../0.weights.h5"}]',
            '[{"epoch": 1, "batch": 0, "weights": null}]',
            '[{"epoch": 1, "batch": 0, "weights": "0.weights.h5", '
            '"task_names": [1]}]',
        ],
    )
    def test_another_file(self, folder, text):
        folder.mkdir(parents=True)
        (folder / "states.json").write_text(text)
        with pytest.raises(ValueError, match="states.json' says.*Received"):
            BackupAndRestore(folder)._read()

    @pytest.mark.slow
    def test_a_full_disk_leaves_the_backup(self, folder, whole, monkeypatch):
        class Full(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 2:
                    patch.setattr(self.model, "save_weights", full)

        def full(path):
            path.write_bytes(b"half")
            raise RuntimeError("Unable to flush: no space left on device")

        with monkeypatch.context() as patch:
            with pytest.raises(OSError, match="before it is whole.*no space"):
                fit(Full(), BackupAndRestore(folder))
        assert names(folder) == ["1.weights.h5", "states.json"]
        assert_goes_on(folder, whole, 2)


class Named(keras.Model):
    """Whose random layers have the names that it is given."""

    def __init__(self, *names):
        super().__init__()
        self.seeds = [
            keras.random.SeedGenerator(number, name=name)
            for number, name in enumerate(names)
        ]
        self.built = True


def restored(saved, model):
    backup_and_restore._restore_seeds(model, {"seeds": saved})
    return [np.array(seed.state).tolist() for seed in model.seeds]


class TestSeeds:
    def test_go_by_path(self):
        """Also where layers are made in another order."""
        saved = {
            "x/seed_generator_state": [7, 1],
            "y/seed_generator_state": [8, 2],
        }
        assert restored(saved, Named("y", "x")) == [[8, 2], [7, 1]]

    def test_of_one_name_go_by_order(self):
        saved = {
            path: [number, 9]
            for number, path in enumerate(
                backup_and_restore._seeds(Named("x", "x"))
            )
        }
        assert restored(saved, Named("x", "x")) == [[0, 9], [1, 9]]

    def test_that_keras_counts_go_by_order(self):
        saved = {
            "seed_generator_9/seed_generator_state": [7, 1],
            "seed_generator_10/seed_generator_state": [8, 2],
        }
        assert restored(saved, Named(None, None)) == [[7, 1], [8, 2]]

    @pytest.mark.parametrize(
        "saved",
        [
            {},
            {"x/seed_generator_state": [7, 1]},
            {"x/seed_generator_state": [7, 1], "z/seed_generator_state": [8]},
            {"x/seed_generator_state": [7], "y/seed_generator_state": [8, 2]},
            [[7, 1], [8, 2]],
        ],
    )
    def test_that_do_not_fit_are_not_dropped_in_silence(self, saved):
        with pytest.warns(UserWarning, match="random layers.*the model has"):
            assert restored(saved, Named("x", "y")) == [[0, 0], [1, 0]]

    @pytest.mark.slow
    def test_of_a_model_without_random_layers(self, folder):
        kill(BackupAndRestore(folder), KillIn(2))
        with pytest.warns(UserWarning, match="other random layers"):
            model = make_model(dropout=0.0)
            assert len(fit(BackupAndRestore(folder), model=model)[0]) == 2


class TestBackupByKeras:
    """It does not have the states of random layers."""

    def kill(self, folder, epoch, **kwargs):
        backup = keras.callbacks.BackupAndRestore(folder, **kwargs)
        kill(backup, KillIn(epoch), model=make_model(dropout=0.0))

    @pytest.mark.slow
    def test_is_taken_over(self, folder, plain):
        self.kill(folder, 2)
        model = make_model(dropout=0.0)
        kill(BackupAndRestore(folder), KillIn(3), model=model)
        assert names(folder) == ["0.weights.h5", "states.json"]
        assert_goes_on(folder, plain, 3, model=make_model(dropout=0.0))

    @pytest.mark.slow
    def test_the_one_before_a_torn_one(self, folder, plain):
        self.kill(folder, 3, double_checkpoint=True)
        (folder / "latest.weights.h5").write_bytes(b"torn")
        with pytest.warns(UserWarning, match="latest.weights.h5' cannot be"):
            assert_goes_on(folder, plain, 2, model=make_model(dropout=0.0))

    # Keras builds the state of the optimizer later than it reads it.
    @pytest.mark.slow
    @pytest.mark.filterwarnings(
        "ignore:Skipping variable loading for optimizer"
    )
    def test_of_a_subclassed_model(self, folder):
        """What its method trains is not there when it is restored."""
        settings = {"aggregator": None, "weighting": "uncertainty"}
        backup = keras.callbacks.BackupAndRestore(folder)
        kill(
            backup,
            KillIn(2),
            model=make_subclassed_model(dropout=0.0, **settings),
        )
        model = make_subclassed_model(dropout=0.0, **settings)
        losses, _ = fit(BackupAndRestore(folder), model=model)
        assert len(losses) == 2 and np.all(np.isfinite(losses))

    @pytest.mark.slow
    def test_torn_metadata_are_none(self, folder):
        self.kill(folder, 2)
        (folder / "training_metadata.json").write_text('{"epoch"')
        assert len(fit(BackupAndRestore(folder))[0]) == EPOCHS


@pytest.mark.parametrize(
    "name, value",
    [
        ("backup_dir", ""),
        ("backup_dir", None),
        ("backup_dir", 3),
        ("backup_dir", "gs://bucket/backup"),
        ("save_freq", 0),
        ("save_freq", True),
        ("save_freq", "batch"),
        ("save_freq", 1.5),
    ],
)
def test_arguments(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
        BackupAndRestore(**{"backup_dir": "x", name: value})


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
