"""One run: a network trained on some images, judged at its end."""

import dataclasses
import functools
import pathlib
import time
from typing import Any

import keras
import numpy as np

from examples.multi_mnist import methods
from examples.multi_mnist.results import accuracy
from examples.runs import Batches
from examples.runs import default_jit
from examples.runs import open_record
from examples.runs import write_json
from keras_mtl.datasets import multi_mnist

PARTS = ("train", "validation", "test")
PREDICT_BATCH = 1000


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the numbers of a run depend on."""

    method: str
    source: str
    size: str
    learning_rate: float
    # Of self-auxiliary heads; None for other methods.
    weight: float | None = None
    temperature: float | None = None
    # Their width; 0 is without one, None as published.
    bottleneck: int | None = None
    epochs: int = 10
    limit: int = 24_000
    batch_size: int = 256
    seed: int = 0

    @property
    def name(self) -> str:
        heads = ""
        if self.weight is not None:
            heads = f"-weight{self.weight:g}-temperature{self.temperature:g}"
        if self.bottleneck is not None:
            heads += f"-bottleneck{self.bottleneck}"
        return (
            f"{self.source}-{self.size}-{self.method}{heads}"
            f"-rate{self.learning_rate:g}-epochs{self.epochs}"
            f"-limit{self.limit}-seed{self.seed}"
        )


class Recorder(keras.callbacks.Callback):
    """Keeps what every epoch logs."""

    def __init__(self, record: dict[str, Any], batches: Batches):
        super().__init__()
        self.record = record
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.batches.set_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        row = {key: round(float(value), 6) for key, value in logs.items()}
        self.record["history"].append(row)


def train(
    config: Config,
    output_dir: pathlib.Path,
    *,
    data_dir: str | None = None,
) -> dict[str, Any]:
    """Trains one run from its start to its end, unless it is finished.

    Args:
        config: The run.
        output_dir: Where `<name>.json` is written.
        data_dir: As for `multi_mnist`.

    Returns:
        The record in the file: `config`, `environment`, `history` with the
        logs of each epoch, and `result` with the accuracy of each task on
        `train`, `validation` and `test` after the last one.
    """
    path = output_dir / f"{config.name}.json"
    record = open_record(path, config)
    if "result" in record:
        return record
    data = _load(config.source, config.limit, data_dir)
    method = methods.parse(config.method)
    data = {
        part: (x, {task: y[task] for task in method.tasks})
        for part, (x, y) in data.items()
    }
    start = time.perf_counter(), time.process_time()
    model = _fit(config, method, data, record)
    record["result"] = {
        part: _accuracy(model, *data[part], method.tasks) for part in PARTS
    }
    record["seconds"] = round(time.perf_counter() - start[0], 1)
    record["cpu_seconds"] = round(time.process_time() - start[1], 1)
    write_json(path, record)
    return record


@functools.lru_cache(maxsize=1)
def _load(source: str, limit: int, data_dir: str | None) -> dict[str, Any]:
    return multi_mnist(source, limit=limit, data_dir=data_dir)


def _fit(
    config: Config,
    method: methods.Method,
    data: dict[str, Any],
    record: dict[str, Any],
) -> keras.Model:
    keras.utils.set_random_seed(config.seed)
    batches = Batches(data["train"], config.batch_size, config.seed)
    model = methods.build_model(
        method,
        size=config.size,
        source=config.source,
        # It falls to zero, so the last epoch is the one to report.
        learning_rate=keras.optimizers.schedules.CosineDecay(
            config.learning_rate, config.epochs * len(batches)
        ),
        jit_compile=default_jit(),
        **_heads(config),
    )
    model.fit(
        batches,
        epochs=config.epochs,
        shuffle=False,  # `Batches` are.
        validation_data=data["validation"],
        validation_batch_size=PREDICT_BATCH,
        callbacks=[Recorder(record, batches)],
        verbose=0,
    )
    return model


def _heads(config: Config) -> dict[str, Any]:
    """Arguments of the self-auxiliary heads that are not as published."""
    heads: dict[str, Any] = {}
    if config.weight is not None:
        heads |= {"weight": config.weight, "temperature": config.temperature}
    if config.bottleneck is not None:
        heads["bottleneck"] = config.bottleneck or None
    return heads


def _accuracy(
    model: keras.Model,
    x: np.ndarray,
    y: dict[str, np.ndarray],
    tasks: tuple[str, ...],
) -> dict[str, float]:
    logs = model.evaluate(x, y, PREDICT_BATCH, verbose=0, return_dict=True)
    row = {f"test_{key}": value for key, value in logs.items()}
    return {task: round(accuracy(row, "test", task), 6) for task in tasks}
