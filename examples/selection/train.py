"""Trains a main task with few examples beside planted auxiliary tasks."""

import dataclasses
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np

import keras_mtl
from examples.runs import alone
from examples.runs import open_record
from examples.runs import write_json
from keras_mtl.selection import BanditSelection
from keras_mtl.selection import BetaBandit
from keras_mtl.selection import TaskSampler
from keras_mtl.selection import mix_datasets

MAIN = "main"
TASKS = (MAIN, "useful", "useless", "harmful")
# Tasks whose batches follow each other in equal turn.
MIXES = {MAIN: (MAIN,), "uniform": TASKS, "useful": (MAIN, "useful")}
METHODS = (*MIXES, "bandit")  # which chooses a task an epoch

NUM_FEATURES = 40
TEACHER_UNITS = 6
# Of the useful task's output weights, beside those of the main task.
DIFFERENCE = 0.3
NUM_AUXILIARY = 20_000
NUM_MAIN = (100, 2000, 4000)  # training, validation, test
BATCH_SIZE = 32
STEPS = 50  # in an epoch, which is the bandit's period

Examples = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the numbers of a run depend on."""

    method: str = "bandit"
    decay: float | None = None  # of the bandit alone
    epochs: int = 150
    seed: int = 0

    @property
    def label(self) -> str:
        return self.method + ("" if self.decay is None else f"-{self.decay:g}")

    @property
    def name(self) -> str:
        return f"{self.label}-seed{self.seed}"


def make_data(seed: int) -> tuple[dict[str, Examples], Examples, Examples]:
    """Asks which inputs a small random network scores above its median.

    The useful task's network has the hidden units of the main task's, and
    output weights close to its; the harmful task has another network, and the
    useless one flips coins.

    Returns:
        Training examples by task; validation and test of the main one.
    """
    rng = np.random.default_rng(seed)
    units = rng.normal(size=(2, NUM_FEATURES, TEACHER_UNITS))
    units /= np.sqrt(NUM_FEATURES)
    main, other, apart = rng.normal(size=(3, TEACHER_UNITS, 1))
    useful = main + DIFFERENCE * apart * np.sqrt(np.mean(main**2))

    def ask(hidden: np.ndarray, output: np.ndarray, count: int) -> Examples:
        x = rng.normal(size=(count, NUM_FEATURES)).astype("float32")
        scores = np.maximum(x @ hidden, 0) @ output
        return x, (scores > np.median(scores)).astype("float32")

    x, y = ask(units[0], main, sum(NUM_MAIN))
    ends = np.cumsum(NUM_MAIN)[:-1]
    train, validation, test = zip(
        np.split(x, ends), np.split(y, ends), strict=True
    )
    training = {
        MAIN: train,
        "useful": ask(units[0], useful, NUM_AUXILIARY),
        "useless": ask(units[1], other, NUM_AUXILIARY),
        "harmful": ask(units[1], other, NUM_AUXILIARY),
    }
    x, y = training["useless"]
    training["useless"] = x, rng.permutation(y)
    return training, validation, test


def make_model() -> keras_mtl.MultiTaskModel:
    """Two shared layers and a logit a task, compiled."""
    inputs = keras.Input((NUM_FEATURES,))
    x = keras.layers.Dense(32, activation="relu")(inputs)
    x = keras.layers.Dense(16, activation="relu")(x)
    model = keras_mtl.MultiTaskModel(
        inputs, {task: keras.layers.Dense(1, name=task)(x) for task in TASKS}
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=dict.fromkeys(TASKS, loss),
        metrics={MAIN: [keras.metrics.BinaryAccuracy("accuracy", threshold=0)]},
        missing_label=float("nan"),
        # All batches of an epoch in one call; for so small a network XLA takes
        # longer to compile than it saves.
        jit_compile=False,
        steps_per_execution=STEPS,
    )
    return model


class Recorder(keras.callbacks.Callback):
    """Accuracy of the main task after every epoch, on validation and test."""

    def __init__(self, test: Examples):
        super().__init__()
        self.test = test
        self.history: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        x, y = self.test
        logits = keras.ops.convert_to_numpy(self.model(x)[MAIN])
        validation = float(logs[f"val_{MAIN}_accuracy"])
        test = float(np.mean((logits > 0) == y))
        self.history.append({"val": validation, "test": test})


def train(config: Config, output_dir: str | os.PathLike) -> dict[str, Any]:
    """Trains one run, unless its file says that it is finished.

    Args:
        config: The run.
        output_dir: Where `<name>.json` is written.

    Returns:
        What is in the file: `config`, `environment`, `seconds`, `history` with
        the accuracies after each epoch and, of the bandit, `selection`: its
        history, and `selected`: the tasks that it would keep.
    """
    path = pathlib.Path(output_dir) / f"{config.name}.json"
    with alone(path):
        return _train(config, path)


def _train(config: Config, path: pathlib.Path) -> dict[str, Any]:
    record = open_record(path, config)
    if len(record["history"]) == config.epochs:
        return record
    training, (x, y), test = make_data(config.seed)
    keras.utils.set_random_seed(config.seed)
    model = make_model()
    sampler = TaskSampler(training, STEPS, BATCH_SIZE, seed=config.seed)
    recorder = Recorder(test)
    fit = {"x": sampler.dataset(), "callbacks": [recorder]}
    if config.method == "bandit":
        selection = BanditSelection(
            sampler,
            MAIN,
            monitor=f"val_{MAIN}_accuracy",
            mode="max",
            bandit=BetaBandit(TASKS, config.decay, seed=config.seed),
        )
        fit["callbacks"].append(selection)
    else:
        ratios = dict.fromkeys(MIXES[config.method], 1)
        fit["x"] = mix_datasets(training, ratios, BATCH_SIZE, seed=config.seed)
        fit["steps_per_epoch"] = STEPS
    start = time.perf_counter()
    model.fit(
        **fit,
        epochs=config.epochs,
        validation_data=(x, sampler.labels(MAIN, y)),
        validation_batch_size=len(x),
        shuffle=False,  # they are
        verbose=0,
    )
    record["seconds"] = round(time.perf_counter() - start, 1)
    record["history"] = recorder.history
    if config.method == "bandit":
        record["selection"] = selection.history
        record["selected"] = selection.selected_tasks()
    write_json(path, record)
    return record
