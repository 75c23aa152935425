"""One resumable MultiMNIST run, with its results in one JSON file."""

import dataclasses
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np

from examples.multi_mnist import methods
from examples.multi_mnist.published import default_learning_rate
from examples.multi_mnist.results import summarize
from examples.runs import Batches
from examples.runs import alone
from examples.runs import default_jit
from examples.runs import open_record
from examples.runs import write_json
from keras_mtl.callbacks import BackupAndRestore
from keras_mtl.datasets import multi_mnist

Arrays = tuple[np.ndarray, dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the numbers of a run depend on."""

    method: str = "sum"
    source: str = "mnist"
    size: str = "large"
    epochs: int = 100
    learning_rate: float | None = None
    batch_size: int = 256
    seed: int = 0
    limit: int | None = None

    def resolved(self) -> "Config":
        """The same with the method's own name and learning rate."""
        method = methods.parse(self.method)
        rate = self.learning_rate
        if rate is None:
            rate = default_learning_rate(method.parts, self.source)
        return dataclasses.replace(self, method=method.name, learning_rate=rate)

    @property
    def name(self) -> str:
        return f"{self.source}-{self.size}-{self.method}-seed{self.seed}"


class Recorder(keras.callbacks.Callback):
    """Measures every epoch and writes all of them to the run's file.

    Test accuracy is measured at every epoch, so that results of the epoch that
    validation chooses, and of the last five, need no weights to be kept.
    """

    def __init__(
        self, path: pathlib.Path, record: dict, batches: Batches, test: Arrays
    ):
        super().__init__()
        self.path = path
        self.record = record
        self.batches = batches
        self.test = test

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.batches.set_epoch(epoch)
        # A run that was killed may have recorded more than it had saved.
        del self.record["history"][epoch:]
        self.start = time.perf_counter()
        self.cpu_start = time.process_time()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.train_seconds = time.perf_counter() - self.start
        self.train_cpu_seconds = time.process_time() - self.cpu_start

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        x, y = self.test
        results = self.model.evaluate(
            x, y, batch_size=1000, verbose=0, return_dict=True
        )
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}}
        row |= {f"test_{key}": float(value) for key, value in results.items()}
        row["train_seconds"] = round(self.train_seconds, 2)
        # On a busy machine the one that says what a method costs.
        row["train_cpu_seconds"] = round(self.train_cpu_seconds, 2)
        row["seconds"] = round(time.perf_counter() - self.start, 2)
        self.record["history"].append(row)
        write_json(self.path, self.record)


def train(
    config: Config,
    output_dir: str | os.PathLike,
    *,
    data: dict[str, Arrays] | None = None,
    data_dir: str | None = None,
    jit_compile: bool | None = None,
    verbose: int | str = "auto",
) -> dict[str, Any]:
    """Trains one run, or continues it where it stopped.

    Args:
        config: The run. A finished run is not repeated; with more `epochs`
            it goes on.
        output_dir: Where `<name>.json` and the folder `<name>` with the state
            to resume from are written.
        data: What `multi_mnist` returns. Loaded when `None`.
        data_dir: As for `multi_mnist`.
        jit_compile: `None` compiles with XLA on accelerators and on JAX only:
            its convolutions on CPU are four times slower.
        verbose: As for `keras.Model.fit`.

    Returns:
        The record in `<name>.json`: `config`, `environment`, `history` with
        one dict for each epoch, and the `result` as made by `summarize`.
    """
    config = config.resolved()
    path = pathlib.Path(output_dir) / f"{config.name}.json"
    with alone(path):
        record = open_record(path, config)
        if len(record["history"]) < config.epochs:
            _fit(config, path, record, data, data_dir, jit_compile, verbose)
        record["result"] = summarize(record)
        write_json(path, record)
    return record


def _fit(
    config: Config,
    path: pathlib.Path,
    record: dict[str, Any],
    data: dict[str, Arrays] | None,
    data_dir: str | None,
    jit_compile: bool | None,
    verbose: int | str,
) -> None:
    if data is None:
        data = multi_mnist(config.source, limit=config.limit, data_dir=data_dir)
    method = methods.parse(config.method)
    data = {
        part: (x, {task: y[task] for task in method.tasks})
        for part, (x, y) in data.items()
    }
    keras.utils.set_random_seed(config.seed)
    model = methods.build_model(
        method,
        size=config.size,
        source=config.source,
        learning_rate=config.learning_rate,
        jit_compile=default_jit() if jit_compile is None else jit_compile,
        examples=data["train"],
    )
    batches = Batches(data["train"], config.batch_size, config.seed)
    model.fit(
        batches,
        epochs=config.epochs,
        # `batches` are shuffled; Keras would shuffle them in an order of its
        # own, which a resumed run could not repeat.
        shuffle=False,
        validation_data=data["validation"],
        validation_batch_size=1000,
        callbacks=[
            # First, so that what is recorded is never behind what is saved.
            Recorder(path, record, batches, data["test"]),
            BackupAndRestore(
                path.with_suffix(""),
                double_checkpoint=True,
                delete_checkpoint=False,
            ),
        ],
        verbose=verbose,
    )
