import contextlib
import errno
import itertools
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtl
from keras_mtl.selection import BanditSelection
from keras_mtl.selection import BetaBandit
from keras_mtl.selection import TaskSampler

NAN = float("nan")
TASKS = ["main", "useful", "noise"]
X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = X[:, :1] - X[:, 1:2]
NOISE = np.random.default_rng(1).normal(size=(40, 1)).astype("float32")
STEPS = 3


def make_sampler(tf_data=False, **kwargs):
    useful = (X, 2 * Y)
    if tf_data:
        useful = tf.data.Dataset.from_tensor_slices(useful)
        useful = useful.shuffle(40, seed=0).batch(8)
    data = {"main": (X[:12], Y[:12]), "useful": useful, "noise": (X, NOISE)}
    return TaskSampler(data, STEPS, batch_size=8, seed=0, **kwargs)


def make_model(missing_label=NAN, **kwargs):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(6, activation="tanh")(inputs)
    model = keras_mtl.MultiTaskModel(
        inputs, {t: keras.layers.Dense(1, name=t)(shared) for t in TASKS}
    )
    model.compile(
        keras.optimizers.Adam(0.03),
        loss={t: "mse" for t in TASKS},
        missing_label=missing_label,
        **kwargs,
    )
    return model


def make_selection(sampler=None, seed=0, **kwargs):
    sampler = sampler or make_sampler()
    bandit = BetaBandit(TASKS, seed=seed)
    return BanditSelection(sampler, "main", bandit=bandit, **kwargs)


def fit(model, selection, *others, epochs=6, **kwargs):
    sampler = selection.sampler
    kwargs.setdefault("validation_data", (X, sampler.labels("main", Y)))
    return model.fit(
        sampler.dataset(),
        epochs=epochs,
        callbacks=[selection, *others],
        shuffle=False,
        verbose=0,
        **kwargs,
    )


class Losses(keras.callbacks.Callback):
    """Which tasks the batches of each epoch had labels for."""

    def __init__(self):
        super().__init__()
        self.trained = []

    def on_epoch_end(self, epoch, logs=None):
        self.trained.append([t for t in TASKS if logs[f"{t}_loss"] > 0])


class StopAt(keras.callbacks.Callback):
    """Ends the process, as far as the training can tell."""

    def __init__(self, epoch, batch=1):
        super().__init__()
        self.at = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


class Scripted(keras.callbacks.Callback):
    """Puts given values in place of the validation loss."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_main_loss"] = self.values[epoch]


@pytest.fixture(scope="module")
def whole():
    """A training that nobody interrupts: what it trained, logged and chose."""
    selection, losses, model = make_selection(), Losses(), make_model()
    logs = fit(model, selection, losses, epochs=8).history
    return SimpleNamespace(
        history=selection.history,
        utilities=selection.utilities,
        sampler_state=selection.sampler.get_state(),
        state=selection.get_state(),
        trained=losses.trained,
        values=logs["val_main_loss"],
        weights=model.get_weights(),
    )


class TestSelection:
    @pytest.mark.slow
    def test_epochs_train_what_was_drawn(self, whole):
        drawn = [entry["task"] for entry in whole.history]
        assert whole.trained == [[task] for task in drawn]
        assert drawn[0] == "main"
        assert len(set(drawn)) > 1

    @pytest.mark.slow
    def test_rewards_are_what_the_metric_did(self, whole):
        values = [entry["value"] for entry in whole.history]
        assert values == whole.values
        rewards = [entry["reward"] for entry in whole.history]
        assert rewards == [1] + [
            float(new <= old) for old, new in itertools.pairwise(values)
        ]

    def test_beliefs_and_draws_are_the_bandits(self, whole):
        bandit, task = BetaBandit(TASKS, seed=0), "main"
        for entry in whole.history:
            assert entry["task"] == task
            bandit.update(task, entry["reward"])
            assert entry["utilities"] == bandit.utilities
            task = bandit.draw()
        assert whole.utilities == bandit.utilities

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "mode, rewards",
        [("min", [1, 1, 1, 0, 0, 1]), ("max", [1, 0, 1, 1, 0, 0])],
    )
    def test_equal_is_good_enough_and_nan_never(self, mode, rewards):
        """NaN is passed over: the next value is held to the one before."""
        selection = make_selection(mode=mode)
        values = Scripted([2.0, 1.0, 1.0, 3.0, NAN, 2.5])
        # Its values must be in the logs before the selection looks.
        sampler = selection.sampler
        make_model().fit(
            sampler.dataset(),
            epochs=6,
            validation_data=(X, sampler.labels("main", Y)),
            callbacks=[values, selection],
            verbose=0,
        )
        assert [entry["reward"] for entry in selection.history] == rewards

    @pytest.mark.slow
    def test_a_metric_to_maximize(self):
        selection = make_selection(monitor="val_main_score", mode="max")
        metric = keras.metrics.MeanSquaredError(name="score")
        fit(make_model(metrics={"main": metric}), selection, epochs=4)
        values = [entry["value"] for entry in selection.history]
        assert [entry["reward"] for entry in selection.history][1:] == [
            float(new >= old) for old, new in itertools.pairwise(values)
        ]

    @pytest.mark.slow
    def test_several_steps_at_once_under_an_aggregator(self):
        selection, losses = make_selection(), Losses()
        model = make_model(aggregator="pcgrad", steps_per_execution=2)
        fit(model, selection, losses, epochs=4)
        drawn = [entry["task"] for entry in selection.history]
        assert losses.trained == [[task] for task in drawn]


class TestSummary:
    def selection(self):
        selection = make_selection()
        utilities = [
            {"main": 0.5, "useful": 0.7, "noise": 0.4},
            {"main": 0.3, "useful": 0.9, "noise": 0.2},
        ]
        selection.history = [
            {"task": task, "utilities": u}
            for task, u in zip(("main", "useful"), utilities, strict=True)
        ]
        return selection

    def test_means(self):
        selection = self.selection()
        assert selection.times_chosen() == {"main": 1, "useful": 1, "noise": 0}
        means = selection.mean_utilities
        np.testing.assert_allclose(list(means.values()), [0.4, 0.8, 0.3])

    def test_selected_tasks(self):
        selection = self.selection()
        assert selection.selected_tasks() == ["useful"]
        assert selection.selected_tasks(top=2) == ["useful", "noise"]
        assert selection.selected_tasks(top=0) == []

    @pytest.mark.parametrize("top", [-1, 1.0, "1"])
    def test_refuses_other_numbers_of_tasks(self, top):
        with pytest.raises(ValueError, match="`top`.*from 0"):
            self.selection().selected_tasks(top)

    def test_before_the_first_epoch(self):
        assert make_selection().mean_utilities == dict.fromkeys(TASKS, 0.5)


def backup(folder):
    return keras.callbacks.BackupAndRestore(folder / "backup")


class TestRestart:
    @pytest.mark.slow
    def test_goes_on_as_if_never_interrupted(self, tmp_path, whole):
        path = tmp_path / "new" / "selection.json"
        first = make_selection(state_path=path)
        with pytest.raises(KeyboardInterrupt):
            fit(make_model(), first, backup(tmp_path), StopAt(4), epochs=8)
        assert len(first.history) == 4
        # Another process: everything is made anew, other draws among it.
        second = make_selection(seed=99, state_path=path)
        model = make_model()
        fit(model, second, backup(tmp_path), epochs=8)
        assert second.history == whole.history
        assert second.sampler.get_state() == whole.sampler_state
        for left, right in zip(model.get_weights(), whole.weights, strict=True):
            np.testing.assert_array_equal(left, right)
        assert not path.exists()

    @pytest.mark.slow
    @pytest.mark.parametrize("killed_after", [0, 2])
    def test_weights_of_the_epoch_before(self, tmp_path, killed_after):
        """Killed after the state was written, before the weights were.

        With a `tf.data` pipeline among the data.
        """
        path = tmp_path / "selection.json"

        class Killed(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == killed_after:
                    raise KeyboardInterrupt

        def train(seed, *others):
            selection = make_selection(
                make_sampler(tf_data=True),
                seed=seed,
                state_path=path if others else None,
            )
            with contextlib.suppress(KeyboardInterrupt):
                fit(make_model(), selection, *others, epochs=4)
            return selection.history

        history = train(0)
        before = train(0, Killed(), backup(tmp_path))
        assert len(before) == killed_after + 1
        assert train(99, backup(tmp_path)) == history
        assert len(history) == 4

    def test_the_file_holds_two_epochs_and_is_whole(self, tmp_path):
        path = tmp_path / "selection.json"
        selection = make_selection(state_path=path, keep_state=True)
        fit(make_model(), selection, epochs=4)
        states = json.loads(path.read_text())
        assert [state["next_epoch"] for state in states] == [3, 4]
        assert [p.name for p in tmp_path.iterdir()] == ["selection.json"]

    @pytest.mark.slow
    def test_several_calls_of_fit_go_on(self, whole):
        selection, model = make_selection(), make_model()
        fit(model, selection, epochs=3)
        fit(model, selection, epochs=5, initial_epoch=3)
        tasks = [entry["task"] for entry in whole.history[:5]]
        assert [entry["task"] for entry in selection.history] == tasks

    @pytest.mark.slow
    def test_a_file_of_another_epoch(self, tmp_path):
        path = tmp_path / "selection.json"
        selection = make_selection(state_path=path, keep_state=True)
        model = make_model()
        fit(model, selection, epochs=3)
        with pytest.raises(ValueError, match="epoch 2 and 3.*with epoch 0"):
            fit(model, make_selection(state_path=path))

    @pytest.mark.slow
    def test_another_process_has_the_file(self, tmp_path):
        path = tmp_path / "selection.json"
        program = (
            "import filelock, sys\n"
            f"lock = filelock.FileLock({str(path)!r} + '.lock')\n"
            "lock.acquire()\n"
            "print(flush=True)\nsys.stdin.read()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            other.stdout.readline()
            model, selection = make_model(), make_selection(state_path=path)
            before = model.get_weights()
            with pytest.raises(RuntimeError, match="selection.json' is in use"):
                fit(model, selection)
            for left, right in zip(model.get_weights(), before, strict=True):
                np.testing.assert_array_equal(left, right)
            other.kill()
        fit(model, selection, epochs=1)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_a_full_disk_leaves_the_state_before(self, tmp_path, monkeypatch):
        path = tmp_path / "selection.json"

        class Full(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 2:
                    monkeypatch.setattr(os, "fsync", full)

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        selection = make_selection(state_path=path)
        with pytest.raises(OSError, match="No space left.*selection.json'"):
            fit(make_model(), selection, Full())
        states = json.loads(path.read_text())
        assert [state["next_epoch"] for state in states] == [1, 2]

    @pytest.mark.slow
    def test_seeds_that_were_drawn(self, tmp_path):
        """Those of the next process are others; it takes the first ones."""

        def train(*others):
            sampler = TaskSampler({t: (X, Y) for t in TASKS}, STEPS, 8)
            selection = BanditSelection(
                sampler, "main", state_path=tmp_path / "selection.json"
            )
            with contextlib.suppress(KeyboardInterrupt):
                callbacks = (*others, backup(tmp_path))
                fit(make_model(), selection, *callbacks, epochs=3)
            return selection

        keras.utils.set_random_seed(1)
        whole = train()
        keras.utils.set_random_seed(1)
        train(StopAt(2))
        keras.utils.set_random_seed(2)
        resumed = train()
        assert resumed.history == whole.history
        assert resumed.get_state() == whole.get_state()

    def test_state_by_hand(self, whole):
        other = make_selection(seed=99)
        other.set_state(json.loads(json.dumps(whole.state)))
        assert other.history == whole.history
        assert other.utilities == whole.utilities
        assert other.get_state() == whole.state


class TestBadInput:
    def test_sampler(self):
        with pytest.raises(ValueError, match="`sampler`.*TaskSampler.*dict"):
            BanditSelection({}, "main")

    def test_main_task(self):
        with pytest.raises(ValueError, match="`main_task`.*'useful'.*'third'"):
            BanditSelection(make_sampler(), "third")

    def test_bandit(self):
        with pytest.raises(ValueError, match="arms of `bandit`"):
            BanditSelection(make_sampler(), "main", bandit=BetaBandit(3))

    @pytest.mark.parametrize("bandit", ["x", "", BetaBandit, object()])
    def test_kind_of_bandit(self, bandit):
        with pytest.raises(ValueError, match="`bandit` must be.*Received"):
            BanditSelection(make_sampler(), "main", bandit=bandit)

    @pytest.mark.parametrize(
        "name, value",
        [
            ("monitor", 3),
            ("monitor", ""),
            ("main_task", ["main"]),
            ("state_path", 3),
            ("state_path", ""),
            ("keep_state", "no"),
        ],
    )
    def test_arguments(self, name, value):
        arguments = {"main_task": "main", name: value}
        with pytest.raises(ValueError, match=f"`{name}` must be.*Received"):
            BanditSelection(make_sampler(), **arguments)

    @pytest.mark.parametrize(
        "text", ["", "no json", "3", "[3]", '{"a": 1}', '[{"next_epoch": 0}]']
    )
    def test_file(self, tmp_path, text):
        path = tmp_path / "selection.json"
        path.write_text(text)
        selection = make_selection(state_path=path)
        with pytest.raises(ValueError, match="selection.json' holds no state"):
            fit(make_model(), selection)

    @pytest.mark.parametrize(
        "where, value, says",
        [
            (["next_epoch"], "0", "next_epoch"),
            (["task"], "other", "'other'.*none of"),
            (["task"], ["main"], "none of"),
            (["bandit"], {}, "'arms'"),
            (["bandit"], None, "'arms'"),
            (["bandit", "arms"], ["main", "other"], "other arms"),
            (["bandit", "arms"], None, "other arms"),
            (["bandit", "beliefs"], [[1, 1]], "two numbers above 0"),
            (["bandit", "beliefs", 0, 0], float("nan"), "two numbers above 0"),
            (["bandit", "beliefs", 0, 0], -1.0, "two numbers above 0"),
            (["bandit", "random"], {}, "NumPy generator"),
            (["bandit", "random", "state", "state"], -1, "NumPy generator"),
            (["sampler"], {}, "'used' and 'seeds'"),
            (["sampler", "used"], {"main": 0}, "other tasks"),
            (["sampler", "used", "main"], "3", "`used` must be an integer"),
            (["sampler", "seeds"], [1, 2, 3], "'used' and 'seeds'"),
            (["sampler", "seeds", "main"], None, "`seeds` must be an integer"),
            (["history"], {}, "'history'"),
            (["history"], [3], "'history'"),
            (["history"], [{"epoch": 0, "task": "main"}], "'history'"),
        ],
    )
    def test_what_is_wrong_with_a_file(self, tmp_path, where, value, says):
        state = {"next_epoch": 0, **make_selection().get_state()}
        state = json.loads(json.dumps(state))
        *outer, last = where
        inner = state
        for key in outer:
            inner = inner[key]
        inner[last] = value
        path = tmp_path / "my sélection.json"
        path.write_text(json.dumps([state]))
        selection = make_selection(seed=5, state_path=path)
        selection.set_model(make_model())
        selection.set_params({"steps": STEPS})
        before = selection.get_state()
        message = f"'{path}' holds no state of this BanditSelection: .*{says}"
        with pytest.raises(ValueError, match=f"(?s){message}"):
            selection.on_train_begin()
            selection.on_epoch_begin(0)
        assert selection.get_state() == before

    @pytest.mark.slow
    def test_what_a_bandit_of_the_user_says_of_a_file(self, tmp_path):
        class Mine(BetaBandit):
            def set_state(self, state):
                self.decay = state["mine"]

        path = tmp_path / "selection.json"
        fit(make_model(), make_selection(state_path=path, keep_state=True))
        with pytest.raises(ValueError, match="json' holds no.*KeyError, 'mine"):
            selection = BanditSelection(
                make_sampler(), "main", bandit=Mine(TASKS), state_path=path
            )
            fit(make_model(), selection, initial_epoch=6, epochs=7)

    def test_a_folder_is_no_file(self, tmp_path):
        with pytest.raises(ValueError, match="`state_path` must be a file"):
            make_selection(state_path=tmp_path)

    @pytest.mark.slow
    @pytest.mark.parametrize("monitor", [None, "val_main_mae"])
    @pytest.mark.parametrize("task", ["main", "noise"])
    def test_validation_must_have_labels(self, monitor, task):
        selection = make_selection(monitor=monitor, mode="min")
        y = np.full_like(Y, NAN) if task == "main" else Y
        labels = selection.sampler.labels(task, y)
        with pytest.raises(ValueError, match="no label.*'main'.*Received"):
            fit(
                make_model(metrics={"main": ["mae"]}),
                selection,
                validation_data=(X, labels),
            )

    def test_inputs_must_have_the_sizes_of_the_model(self):
        data = {task: (X, Y) for task in TASKS}
        data["noise"] = (X[:, :3], Y)
        sampler = TaskSampler(data, STEPS, batch_size=8)
        with pytest.raises(ValueError, match="task 'noise'.*4.*Received.*3"):
            fit(make_model(), make_selection(sampler))

    @pytest.mark.parametrize(
        "monitor, mode", [("val_main_acc", "auto"), (None, "up")]
    )
    def test_mode(self, monitor, mode):
        with pytest.raises(ValueError, match="`mode`.*'min'.*'max'"):
            make_selection(monitor=monitor, mode=mode)

    @pytest.mark.parametrize("known", [None, -1.0, {"main": NAN}])
    def test_model_must_know_missing_labels(self, known):
        with pytest.raises(ValueError, match="missing_label.*Received"):
            fit(make_model(missing_label=known), make_selection())

    def test_model_of_keras(self):
        inputs = keras.Input((4,))
        model = keras.Model(
            inputs, {t: keras.layers.Dense(1, name=t)(inputs) for t in TASKS}
        )
        model.compile("sgd", {t: "mse" for t in TASKS})
        with pytest.raises(ValueError, match="MultiTaskModel"):
            fit(model, make_selection())

    @pytest.mark.slow
    def test_metric_must_be_in_the_logs(self):
        selection = make_selection(monitor="val_other_loss")
        with pytest.raises(ValueError, match="no 'val_other_loss'.*Received"):
            fit(make_model(), selection)

    def test_epoch_must_be_a_period(self):
        with pytest.raises(ValueError, match="Received: 2 steps.*steps=3"):
            fit(make_model(), make_selection(), steps_per_epoch=2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
