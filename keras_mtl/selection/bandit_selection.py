"""A callback that lets a bandit choose which task is trained."""

import json
import math
import os
from typing import Any

import keras

from keras_mtl.selection.beta_bandit import BetaBandit
from keras_mtl.selection.task_sampler import TaskSampler
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import is_integer
from keras_mtl.utils.argument_validation import is_number
from keras_mtl.utils.argument_validation import is_table
from keras_mtl.utils.argument_validation import one_of
from keras_mtl.utils.argument_validation import optional_file
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock
from keras_mtl.utils.files import write_whole
from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.graph import symbolic_inputs

# States in a file: the process can be killed before the weights are saved, and
# the next one begins with the epoch before.
KEPT_STATES = 2
# What is taken for a bandit.
BANDIT = ("arms", "draw", "update", "utilities", "get_state", "set_state")
# What a state holds, and what an entry of its history.
STATE = ("task", "bandit", "sampler", "history")
ENTRY = ("epoch", "task", "value", "reward", "utilities")


class BanditSelection(keras.callbacks.Callback):
    """Chooses the task of every epoch by what it does for a main task.

    The first stage of AutoSeM. Before an epoch a bandit draws one of the
    tasks, the main one among them, and the epoch trains on batches of it. The
    bandit's reward is 1 if the main task's validation metric is then at least
    as good as after the epoch before, whichever task that one trained, and 0
    otherwise (NaN is never good). The first epoch trains the main task, and
    its reward is 1, as there is nothing to compare with.

    An epoch is one selection period: its length is the `steps` of the
    sampler, and `fit` must validate in each.

    The utilities tell how often training on a task did not hurt the main one.
    They follow the training, and those of tasks that are rarely drawn go back
    to the prior: to decide which tasks to keep for good, for the second stage
    (`keras_mtl.selection.MixingRatioSearch`), use `selected_tasks`, which
    takes their mean over the training.

    With `state_path`, all that the selection knows is written to a file, before
    the first epoch and after each. A new process that calls `fit` with the same
    data and callbacks, `keras_mtl.callbacks.BackupAndRestore` after this one,
    then goes on with the weights, the bandit and the batches where the other
    one stopped, and chooses the tasks that it would have chosen. The file is
    removed when the training is over. While `fit` trains, no other process can
    use it; that needs filelock (`pip install 'keras_mtl[selection]'`).

    Args:
        sampler: `keras_mtl.selection.TaskSampler`; `fit` trains on its
            `dataset()`.
        main_task: Name of the task that counts.
        monitor: Name of the validation metric of the main task in the logs.
            By default `"val_<main_task>_loss"`.
        mode: `"min"` or `"max"`, whether the metric is to fall or to rise.
            `"auto"` (default) knows it for losses and errors.
        bandit: `keras_mtl.selection.BetaBandit` with the tasks as arms, or an
            object with the same methods. By default one with AutoSeM's decay
            of 0.3.
        state_path: File for the state, or `None`.
        keep_state: bool. Whether to leave the file when the training is over.

    Attributes:
        history: A dict an epoch, with `"epoch"`, `"task"`, `"value"` (of the
            metric), `"reward"` and `"utilities"` (after the reward).

    Raises:
        ValueError: If an argument does not fit, and in `fit` if the model does
            not know missing labels or cannot take the inputs of a task, if the
            metric is not in the logs or was measured without any label, or if
            the file does not hold the state of the epoch that `fit` begins
            with.
        RuntimeError: In `fit`, if another process trains with the file.
        OSError: In `fit`, if the file cannot be read or written.

    Example:

    ```python
    sampler = keras_mtl.selection.TaskSampler(
        {"main": (x, y), "tags": (tag_x, tags), "noise": noise_dataset},
        steps=50,
        batch_size=32,
    )
    selection = keras_mtl.selection.BanditSelection(
        sampler, "main", state_path="selection.json"
    )
    model.compile("adam", loss=losses, missing_label=float("nan"))
    model.fit(
        sampler.dataset(),
        epochs=100,
        validation_data=(val_x, sampler.labels("main", val_y)),
        callbacks=[
            selection, keras_mtl.callbacks.BackupAndRestore("backup")
        ],
    )
    selection.selected_tasks()  # ["tags"]
    ```

    References:

    - [Guo et al., "AutoSeM: Automatic Task Selection and Mixing in Multi-Task
      Learning", 2019](https://arxiv.org/abs/1904.04153)
    """

    def __init__(
        self,
        sampler: TaskSampler,
        main_task: str,
        monitor: str | None = None,
        mode: str = "auto",
        bandit: BetaBandit | None = None,
        state_path: str | os.PathLike | None = None,
        keep_state: bool = False,
    ):
        super().__init__()
        if not isinstance(sampler, TaskSampler):
            raise ValueError(
                "`sampler` must be a `keras_mtl.selection.TaskSampler`. "
                f"Received: sampler of type {type(sampler).__name__}"
            )
        self.sampler = sampler
        self.main_task = one_of("main_task", main_task, sampler.tasks)
        self.monitor = _monitor(monitor, main_task)
        self.mode = _mode(mode, self.monitor)
        self.bandit = BetaBandit(sampler.tasks) if bandit is None else bandit
        _check_bandit(self.bandit)
        if set(self.bandit.arms) != set(sampler.tasks):
            raise ValueError(
                "The arms of `bandit` must be the sampler's tasks "
                f"{sampler.tasks}. Received: arms={list(self.bandit.arms)}"
            )
        self.state_path = optional_file("state_path", state_path)
        self.keep_state = boolean("keep_state", keep_state)
        self.history: list[dict[str, Any]] = []
        self._task: str | None = None
        self._restored = False
        self._num_labels: float | None = None
        self._lock: Any = None

    @property
    def utilities(self) -> dict[str, float]:
        """By task, how likely an epoch of it is not to hurt the main task."""
        return self.bandit.utilities

    @property
    def mean_utilities(self) -> dict[str, float]:
        """By task, the mean of its utility over the epochs."""
        if not self.history:
            return self.utilities
        return {
            task: sum(entry["utilities"][task] for entry in self.history)
            / len(self.history)
            for task in self.sampler.tasks
        }

    def times_chosen(self) -> dict[str, int]:
        """By task, how many epochs trained it."""
        chosen = [entry["task"] for entry in self.history]
        return {task: chosen.count(task) for task in self.sampler.tasks}

    def selected_tasks(self, top: int | None = None) -> list[str]:
        """The auxiliary tasks worth keeping, the most useful one first.

        Args:
            top: How many, from 0. By default all whose mean utility is at
                least that of the main task; the paper does not say where to
                draw the line.
        """
        mean = self.mean_utilities
        others = [task for task in self.sampler.tasks if task != self.main_task]
        others.sort(key=lambda task: -mean[task])
        if top is not None:
            return others[: integer_from(0, "top", top)]
        return [task for task in others if mean[task] >= mean[self.main_task]]

    def get_state(self) -> dict[str, Any]:
        """All that the selection knows between two epochs, for JSON."""
        return {
            "task": self._task,
            "bandit": self.bandit.get_state(),
            "sampler": self.sampler.get_state(),
            "history": [dict(entry) for entry in self.history],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where the selection that returned `state` was.

        Raises:
            ValueError: If it is no state, or that of a selection among other
                tasks; then this one stays as it is.
        """
        problem = _problem(state, self.sampler.tasks)
        if problem is not None:
            raise ValueError(
                "`state` must be what `get_state` of a BanditSelection "
                f"returned. Received: {problem}"
            )
        before = self.bandit.get_state()
        self.bandit.set_state(state["bandit"])
        try:
            self.sampler.set_state(state["sampler"])
        except ValueError:
            self.bandit.set_state(before)
            raise
        self.history = [dict(entry) for entry in state["history"]]
        self._task = state["task"]

    # -- fit ----------------------------------------------------------------

    def on_train_begin(self, logs: Any = None) -> None:
        _check_model(self.model, self.sampler.missing_label)
        _check_inputs(self.model, self.sampler.input_specs)
        steps = self.params.get("steps")
        if steps != self.sampler.steps:
            raise ValueError(
                "BanditSelection chooses a task an epoch, so `fit` must train "
                "on `sampler.dataset()`, without `steps_per_epoch`. Received: "
                f"{steps} steps an epoch, but the sampler has "
                f"steps={self.sampler.steps}"
            )
        self._restored = False
        if self.state_path is not None:
            self._take_file()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self._restored:
            # Not before: only here is it known which epoch training is at.
            self._start(epoch)
            self._restored = True
        self.sampler.begin_period(self._task)
        self._num_labels = None

    def on_test_end(self, logs: Any = None) -> None:
        losses = self.model.task_losses
        self._num_labels = losses.num_labelled(self.main_task)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = self._value(logs or {})
        self.sampler.end_period()
        reward = self._reward(value)
        self.bandit.update(self._task, reward)
        self.history.append(
            {
                "epoch": epoch,
                "task": self._task,
                "value": value,
                "reward": reward,
                "utilities": self.utilities,
            }
        )
        self._task = self.bandit.draw()
        self._save(epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        if self.state_path is not None and not self.keep_state:
            self.state_path.unlink(missing_ok=True)
        if self._lock is not None:
            unlock(self._lock)
            self._lock = None

    def _value(self, logs: dict[str, Any]) -> float:
        if self.monitor not in logs:
            raise ValueError(
                f"The logs of the epoch hold no '{self.monitor}', which "
                "`monitor` of BanditSelection asks for. Give `fit` a "
                "`validation_data` with labels of the main task, to be used "
                f"every epoch. Received: logs with {sorted(logs)}"
            )
        of_task = self.monitor.startswith(f"val_{self.main_task}_")
        if of_task and self._num_labels == 0:
            # Of no labels, loss and metrics are 0, which is as good as can be.
            raise ValueError(
                f"The validation data have no label of the main task "
                f"'{self.main_task}', so '{self.monitor}' says nothing. Give "
                "`fit` a `validation_data` with `sampler.labels("
                f"'{self.main_task}', y)`. Received: {self.monitor}="
                f"{logs[self.monitor]}, of 0 labels"
            )
        return float(logs[self.monitor])

    def _reward(self, value: float) -> float:
        if math.isnan(value):
            return 0.0
        earlier = [entry["value"] for entry in self.history]
        earlier = [v for v in earlier if not math.isnan(v)]
        if not earlier:
            return 1.0
        if self.mode == "min":
            return float(value <= earlier[-1])
        return float(value >= earlier[-1])

    # -- the file -------------------------------------------------------------

    def _save(self, next_epoch: int) -> None:
        if self.state_path is None:
            return
        states = [s for s in self._read() if s["next_epoch"] < next_epoch]
        states.append({"next_epoch": next_epoch, **self.get_state()})
        write_whole(self.state_path, json.dumps(states[-KEPT_STATES:]))

    def _take_file(self) -> None:
        """Keeps others from the file, before anything is trained for it."""
        # A training that was interrupted has not let go of it; who then goes
        # on in the same process, in a notebook, does so with the same file.
        self._lock = try_lock(self.state_path, by_process=True)
        if self._lock is None:
            raise RuntimeError(
                f"`state_path` '{self.state_path}' is in use by another "
                "process. Wait until that one is over, or give each training "
                "a file of its own."
            )
        self._read()

    def _read(self) -> list[dict[str, Any]]:
        if not self.state_path.exists():
            return []
        try:
            states = json.loads(self.state_path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise self._wrong_file(f"it is no JSON, {error}") from error
        if not isinstance(states, list) or not states:
            raise self._wrong_file(f"it must be a list, not {states!r:.80}")
        for state in states:
            problem = _problem(state, self.sampler.tasks)
            if problem is None and not is_integer(state.get("next_epoch")):
                problem = "no number of an epoch as its 'next_epoch'"
            if problem is not None:
                raise self._wrong_file(f"it has {problem}")
        return states

    def _wrong_file(self, problem: str) -> ValueError:
        return ValueError(
            f"'{self.state_path}' holds no state of this BanditSelection: "
            f"{problem}. Give another `state_path`, or remove the file to "
            "start anew."
        )

    def _start(self, epoch: int) -> None:
        """Begins with this epoch: from the file, or with one."""
        states = [] if self.state_path is None else self._read()
        if not states:
            self._task = self._task or self.main_task
            self._save(epoch)
            return
        for state in states:
            if state["next_epoch"] == epoch:
                self._set_state_of_file(state)
                return
        epochs = [state["next_epoch"] for state in states]
        raise ValueError(
            f"'{self.state_path}' holds the selection at the beginning of "
            f"epoch {' and '.join(map(str, epochs))}, but `fit` begins with "
            f"epoch {epoch}. To go on, restore the weights too, with "
            "`keras_mtl.callbacks.BackupAndRestore` or `initial_epoch`; to "
            "start anew, remove the file."
        )

    def _set_state_of_file(self, state: dict[str, Any]) -> None:
        try:
            self.set_state(state)
        # What a bandit of the user says to what it does not know.
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._wrong_file(
                f"{type(error).__name__}, {error}".rstrip(".")
            ) from error


def _problem(state: Any, tasks: list[str]) -> str | None:
    """What a state has that it should not, in words; `None` if it is one."""
    if not is_table(state, STATE):
        return f"no dict with {list(STATE)}, but {state!r:.200}"
    if state["task"] not in [None, *tasks]:
        return f"the task {state['task']!r}, which is none of {tasks}"
    if not isinstance(state["history"], list):
        return f"no list as its 'history', but {state['history']!r:.200}"
    for entry in state["history"]:
        if not _is_entry(entry, tasks):
            return (
                f"an entry of 'history' that is no dict with {list(ENTRY)} of "
                f"an epoch that trained one of {tasks}, but {entry!r:.200}"
            )
    return None


def _is_entry(entry: Any, tasks: list[str]) -> bool:
    return (
        is_table(entry, ENTRY)
        and entry["task"] in tasks
        and is_integer(entry["epoch"])
        # Of the metric, which can be NaN.
        and isinstance(entry["value"], (int, float))
        and is_number(entry["reward"])
        and is_table(entry["utilities"], tasks)
        and all(map(is_number, entry["utilities"].values()))
    )


def _monitor(monitor: Any, main_task: str) -> str:
    if monitor is None:
        return f"val_{main_task}_loss"
    if not isinstance(monitor, str) or not monitor:
        raise ValueError(
            "`monitor` must be the name of a metric in the logs. Received: "
            f"monitor={monitor!r}"
        )
    return monitor


def _check_bandit(bandit: Any) -> None:
    is_object = not isinstance(bandit, type)
    if not is_object or not all(hasattr(bandit, name) for name in BANDIT):
        raise ValueError(
            "`bandit` must be a `keras_mtl.selection.BetaBandit`, or an object "
            f"that has {list(BANDIT)} like it. Received: bandit={bandit!r}"
        )


def _mode(mode: str, monitor: str) -> str:
    if mode == "auto" and monitor.endswith(("loss", "error")):
        return "min"
    if mode not in ("min", "max"):
        raise ValueError(
            "`mode` must say whether the metric is to fall, 'min', or to "
            f"rise, 'max'. Received: mode={mode!r} for monitor={monitor!r}"
        )
    return mode


def _check_model(model: Any, missing: dict[str, float]) -> None:
    """Raises unless the model takes for missing what the sampler says is."""
    settings = getattr(model, "_settings", None)
    known = getattr(settings, "missing_label", None)
    for task, value in missing.items():
        found = known.get(task) if isinstance(known, dict) else known
        if found is None or not _same(found, value):
            raise ValueError(
                f"The sampler gives task '{task}' the label {value} where "
                "another task is trained, and the model must know that it "
                "means a missing one: compile a `keras_mtl.MultiTaskModel` "
                f"with `missing_label={missing}`. Received: a "
                f"{type(model).__name__} with missing_label={known}"
            )


def _check_inputs(model: Any, specs: dict[str, Any]) -> None:
    """Raises if the sizes of a task's inputs are not those of the model.

    Where they differ between tasks, `fit` knows them of no batch beforehand.
    """
    if not has_graph(model):
        return
    inputs = symbolic_inputs(model)
    for task, spec in specs.items():
        try:
            keras.tree.assert_same_structure(inputs, spec)
        except ValueError:
            return  # Keras has more ways to find the inputs.
        for tensor, part in zip(
            keras.tree.flatten(inputs), keras.tree.flatten(spec), strict=True
        ):
            wanted, given = tuple(tensor.shape), tuple(part.shape)
            if len(wanted) == len(given) and any(
                a != b and None not in (a, b)
                for a, b in zip(wanted[1:], given[1:], strict=True)
            ):
                raise ValueError(
                    f"The inputs of task '{task}' must have the sizes that the "
                    f"model takes, {wanted}. Received: inputs of shape {given}"
                )


def _same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))
