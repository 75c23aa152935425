"""Runs that compare architectures: ended by validation, resumable."""

import collections
import pathlib
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from examples.runs import Batches
from examples.runs import alone
from examples.runs import open_record
from examples.runs import read_record
from examples.runs import write_json
from keras_mtl.callbacks import BackupAndRestore

Run = dict[str, Any]
Runs = dict[str, list[Run]]
Labels = Mapping[str, np.ndarray]

SINGLE = "single"  # the architecture whose tasks share nothing
PREDICT_BATCH = 4096


class Recorder(keras.callbacks.Callback):
    """Measures every epoch, writes it to the run's file, and ends the run.

    Test is measured at every epoch, so that results of the epoch that
    validation chooses need no weights to be kept.
    """

    def __init__(
        self,
        path: pathlib.Path,
        record: Run,
        batches: Batches,
        data: Any,
        measure: Callable[[np.ndarray, np.ndarray], float],
    ):
        super().__init__()
        self.path = path
        self.record = record
        self.batches = batches
        self.parts = {"val": data.validation, "test": data.test}
        self.measure = measure

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.batches.set_epoch(epoch)
        # A run that was killed may have recorded more than it had saved.
        del self.record["history"][epoch:]
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}}
        row["train_seconds"] = round(time.perf_counter() - self.start, 2)
        for part, (x, y) in self.parts.items():
            outputs = self.model.predict(x, PREDICT_BATCH, verbose=0)
            for task in self.record["tasks"]:
                row[f"{part}_{task}"] = self.measure(y[task], outputs[task])
        row["seconds"] = round(time.perf_counter() - self.start, 2)
        self.record["history"].append(row)
        write_json(self.path, self.record)
        self.model.stop_training = is_finished(self.record)


def run(
    path: pathlib.Path,
    config: Any,
    tasks: Sequence[str],
    make_model: Callable[[], tuple[keras.Model, dict[str, Any]]],
    data: Any,
    measure: Callable[[np.ndarray, np.ndarray], float],
    *,
    verbose: int | str = "auto",
) -> Run:
    """Trains one model, or continues it where it stopped.

    Args:
        path: The run's JSON file. The folder of its name without `.json` holds
            the state to resume from.
        config: A dataclass with `architecture`, `epochs`, `patience`,
            `learning_rate`, `batch_size`, `seed` and what else the numbers
            depend on. A finished run is not repeated.
        tasks: Their names.
        make_model: Returns a compiled model with a dict of outputs, and what
            is to be recorded of it.
        data: With `train`, `validation` and `test`, each `(x, y)` and `y` a
            dict by task.
        measure: From the labels and the outputs of a task to a number, the
            higher the better.
        verbose: As for `keras.Model.fit`.

    Returns:
        What is in the file: `config`, `environment`, `tasks`, `history` with
        one dict for each epoch, what `make_model` said, and the `result` as
        made by `summarize`.
    """
    with alone(path):
        record = open_record(path, config)
        record["tasks"] = list(tasks)
        if not is_finished(record):
            _fit(path, record, config, make_model, data, measure, verbose)
        record["result"] = summarize(record)
        write_json(path, record)
    return record


def _fit(
    path: pathlib.Path,
    record: Run,
    config: Any,
    make_model: Callable[[], tuple[keras.Model, dict[str, Any]]],
    data: Any,
    measure: Callable[[np.ndarray, np.ndarray], float],
    verbose: int | str,
) -> None:
    keras.utils.set_random_seed(config.seed)
    model, facts = make_model()
    record |= facts
    batches = Batches(data.train, config.batch_size, config.seed)
    model.fit(
        batches,
        epochs=config.epochs,
        # `batches` are shuffled; Keras would shuffle them in an order of
        # its own, which a resumed run could not repeat.
        shuffle=False,
        callbacks=[
            # First, so that what is recorded is never behind what is saved.
            Recorder(path, record, batches, data, measure),
            BackupAndRestore(
                path.with_suffix(""),
                double_checkpoint=True,
                delete_checkpoint=False,
            ),
        ],
        verbose=verbose,
    )


def choices(record: Run) -> dict[str, list[float]]:
    """By task, the validation values whose highest chooses its epoch.

    A network that tasks share has one epoch for all of them, that of the
    highest mean; networks that share nothing have one each.
    """
    values = {
        task: [row[f"val_{task}"] for row in record["history"]]
        for task in record["tasks"]
    }
    if record["config"]["architecture"] == SINGLE:
        return values
    means = np.mean(list(values.values()), axis=0).tolist()
    return dict.fromkeys(values, means)


def is_finished(record: Run) -> bool:
    """Whether all epochs are there, or validation improves no more."""
    config, epochs = record["config"], len(record["history"])
    if epochs == 0:
        return False
    last_best = max(int(np.argmax(v)) for v in choices(record).values()) + 1
    return epochs >= min(config["epochs"], last_best + config["patience"])


def summarize(record: Run) -> dict[str, Any]:
    """Results at the epoch that validation chooses.

    Args:
        record: A run's record with at least one epoch.

    Returns:
        A dict with `epoch` (1 is the first), `val` and `test`, each by task,
        and `seconds_per_epoch`, the median of training alone.
    """
    history = record["history"]
    chosen = {t: int(np.argmax(v)) for t, v in choices(record).items()}
    return {
        "epoch": {task: row + 1 for task, row in chosen.items()},
        **{
            part: {t: history[row][f"{part}_{t}"] for t, row in chosen.items()}
            for part in ("val", "test")
        },
        "seconds_per_epoch": float(
            np.median([row["train_seconds"] for row in history])
        ),
    }


def load_runs(folder: pathlib.Path, architectures: Sequence[str]) -> Runs:
    """Finished runs by architecture, one a seed, at its learning rate.

    Where an architecture was trained with several learning rates, the one with
    the highest mean on validation counts, over all tasks and seeds; of those
    with the most seeds, because fewer are easier to be lucky with.
    """
    by_rate = collections.defaultdict(lambda: collections.defaultdict(list))
    for path in sorted(folder.glob("*.json")):
        record = read_record(path)
        if record["history"] and is_finished(record):
            record["result"] = summarize(record)
            config = record["config"]
            rates = by_rate[config["architecture"]]
            rates[config["learning_rate"]].append(record)
    return {
        name: max(by_rate[name].values(), key=_seeds_and_validation)
        for name in architectures
        if name in by_rate
    }


def _seeds_and_validation(runs: list[Run]) -> tuple[int, float]:
    values = [list(run["result"]["val"].values()) for run in runs]
    return len(runs), float(np.mean(values))
