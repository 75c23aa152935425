"""What the programs that train many runs have in common: one file a run."""

import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_mtl.utils.argument_validation import is_table
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock
from keras_mtl.utils.files import write_whole


class Batches(keras.utils.PyDataset):
    """Shuffled batches whose order depends on seed and epoch alone.

    An order that a resumed run can compute again is what lets it end exactly
    where an uninterrupted one does.

    Args:
        data: `(x, y)`, arrays or dicts of arrays.
        batch_size: int.
        seed: int.
    """

    def __init__(self, data: tuple[Any, Any], batch_size: int, seed: int):
        super().__init__()
        self.data = tuple(data)
        self.count = len(keras.tree.flatten(self.data)[0])
        self.batch_size = batch_size
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        rng = np.random.default_rng((self.seed, epoch))
        self.order = rng.permutation(self.count)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        start = index * self.batch_size
        rows = self.order[start : start + self.batch_size]
        return keras.tree.map_structure(lambda array: array[rows], self.data)


def open_record(path: pathlib.Path, config: Any) -> dict[str, Any]:
    """Reads a run's file, or starts one.

    Args:
        path: The file.
        config: A dataclass; all but its `epochs` must be as in the file.

    Raises:
        ValueError: The file is no run's, or of a run with another
            configuration.
    """
    wanted = dataclasses.asdict(config)
    record = read_record(path)
    if record is None:
        return {"config": wanted, "environment": environment(), "history": []}
    changed = {
        key: (record["config"].get(key), value)
        for key, value in wanted.items()
        if key != "epochs" and record["config"].get(key) != value
    }
    if changed:
        raise ValueError(
            f"`output_dir` holds {path.name} of a run with another "
            "configuration. Choose another `output_dir` or remove it. "
            f"Received (there, now): {changed}"
        )
    record["config"] = wanted
    return record


def read_record(path: pathlib.Path) -> dict[str, Any] | None:
    """What a run's file holds, or `None` if there is none.

    Raises:
        ValueError: The file holds something else.
    """
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"'{path}' must hold a run as JSON. Remove it to run anew. "
            f"Received: {error}"
        ) from error
    if not is_table(record, ["config"]) or not isinstance(
        record["config"], dict
    ):
        raise ValueError(
            f"'{path}' must hold a run, a dict with its 'config'. Remove it "
            f"to run anew. Received: {record!r:.80}"
        )
    return record


def environment() -> dict[str, Any]:
    """Versions and device that a timing depends on."""
    return {
        "backend": keras.backend.backend(),
        "keras": keras.version(),
        "devices": keras.distribution.list_devices(),
        "cores": len(os.sched_getaffinity(0)),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def default_jit() -> bool | str:
    """XLA where it helps: not for convolutions or recurrence on a CPU.

    TensorFlow's own are three to four times as fast there.
    """
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return "auto" if tf.config.list_physical_devices("GPU") else False


@contextlib.contextmanager
def said_by(flag: str, advice: str = "") -> Iterator[None]:
    """Ends the program where a file is missing, with what the error says.

    It says what to do; a traceback would hide it.

    Args:
        flag: What names the place of the file, such as `"--data_dir"`.
        advice: What else would help.
    """
    try:
        yield
    except FileNotFoundError as error:
        sys.exit(f"{flag}: {error}{advice}")


def write_json(path: pathlib.Path, record: dict[str, Any]) -> None:
    """Writes a file as a whole, or not at all when killed."""
    write_whole(path, json.dumps(record, indent=1))


@contextlib.contextmanager
def alone(path: pathlib.Path) -> Iterator[None]:
    """Waits until no other process is at a run.

    Args:
        path: The run's file.
    """
    lock = try_lock(path)
    if lock is None:
        print(f"Another process is at {path.name}. Waiting for it.", flush=True)
        lock = try_lock(path, patience=-1)
    try:
        yield
    finally:
        unlock(lock)
