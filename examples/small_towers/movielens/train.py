"""One run: a network trained on MovieLens, judged at its end."""

import functools
import pathlib
import time
from typing import Any

import keras
import numpy as np

from examples.runs import Batches
from examples.runs import open_record
from examples.runs import write_json
from examples.small_towers.movielens.config import Config
from examples.small_towers.movielens.model import build_model
from examples.small_towers.movielens.model import tasks_of
from keras_mtl.datasets import MovieLens
from keras_mtl.datasets import load_movielens
from keras_mtl.datasets import movielens_stand_in

PREDICT_BATCH = 4096
# Of the training examples, to see how much better these are predicted.
SEEN_EXAMPLES = 8 * PREDICT_BATCH


@functools.lru_cache(maxsize=1)
def load(data: str, data_dir: str | None = None) -> MovieLens:
    """MovieLens, or its stand-in."""
    if data == "stand_in":
        return movielens_stand_in()
    return load_movielens(data_dir=data_dir)


def train(
    config: Config, output_dir: pathlib.Path, *, data_dir: str | None = None
) -> dict[str, Any]:
    """Trains one run from its start to its end, unless it is finished.

    Args:
        config: The run.
        output_dir: Where `<name>.json` is written.
        data_dir: As for `load_movielens`.

    Returns:
        The record in the file: `config`, `environment`, `examples`, and
        `result` with what `measure` gives for `train` (its first 32,768
        examples), `validation` and `test`.
    """
    path = output_dir / f"{config.name}.json"
    record = open_record(path, config)
    if "result" in record:
        return record
    data = load(config.data, data_dir)
    start = time.perf_counter(), time.process_time()
    model = _fit(config, data)
    record["seconds"] = round(time.perf_counter() - start[0], 1)
    record["cpu_seconds"] = round(time.process_time() - start[1], 1)
    parts = {
        "train": _head(data.train, SEEN_EXAMPLES),
        "validation": data.validation,
        "test": data.test,
    }
    record["examples"] = {
        part: len(getattr(data, part)[1]["watch"]) for part in parts
    }
    record["result"] = {
        part: measure(model, *examples) for part, examples in parts.items()
    }
    write_json(path, record)
    return record


def _head(examples: tuple, count: int) -> tuple:
    return keras.tree.map_structure(lambda array: array[:count], examples)


def _fit(config: Config, data: MovieLens) -> keras.Model:
    keras.utils.set_random_seed(config.seed)
    x, y = data.train
    # A smaller last batch would have to be compiled for itself.
    whole = len(y["watch"]) // config.batch_size * config.batch_size
    x, y = _head((x, _labels(y, config.method)), whole)
    batches = Batches((x, y), config.batch_size, config.seed)
    model = build_model(config, x, data.num_ids)
    order = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: batches.set_epoch(epoch)
    )
    model.fit(
        batches,
        epochs=config.epochs,
        shuffle=False,  # `Batches` are.
        callbacks=[order],
        verbose=0,
    )
    return model


def _labels(y: dict[str, np.ndarray], method: str) -> dict[str, np.ndarray]:
    return {task: y[task] for task in tasks_of(method)}


def measure(
    model: keras.Model, x: dict[str, np.ndarray], y: dict[str, np.ndarray]
) -> dict[str, float]:
    """Errors of the tasks that a model has.

    Returns:
        `watch_error`, the share of wrong predictions, and `watch_loss`, the
        mean crossentropy; `rating_mse`, the mean squared error over what was
        watched, and `rating_mse_all`, the same sum divided by all examples, as
        the paper has it.
    """
    count = len(y["watch"])
    # Whole batches: a smaller one would have to be compiled for itself.
    rows = np.arange(-(-count // PREDICT_BATCH) * PREDICT_BATCH) % count
    x = {name: ids[rows] for name, ids in x.items()}
    outputs = model.predict(x, batch_size=PREDICT_BATCH, verbose=0)
    outputs = {task: values[:count, 0] for task, values in outputs.items()}
    found = {}
    if "watch" in outputs:
        logits = outputs["watch"].astype("float64")
        watch = y["watch"]
        found["watch_error"] = np.mean((logits > 0) != watch)
        found["watch_loss"] = np.mean(np.logaddexp(0, logits) - watch * logits)
    if "rating" in outputs:
        errors = (outputs["rating"] - y["rating"].astype("float64")) ** 2
        found["rating_mse"] = np.nanmean(errors)
        found["rating_mse_all"] = np.nansum(errors) / len(errors)
    return {key: round(float(value), 6) for key, value in found.items()}
