"""Scalars for TensorBoard."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Any


class ScalarWriter:
    """Appends named scalars to a TensorBoard event file of its own.

    It writes the records itself and not through `tf.summary.scalar`, which
    needs the tensorboard package, and which starts the TensorFlow runtime:
    that would take GPU memory from a model that trains on JAX.

    Args:
        log_dir: The folder of the run, made when it is missing.
    """

    def __init__(self, log_dir: str | os.PathLike):
        import tensorflow as tf

        self._tf = tf
        folder = os.fspath(log_dir)
        tf.io.gfile.makedirs(folder)
        # TensorBoard knows event files by "tfevents", and sorts them by name.
        name = ".".join(
            [
                f"events.out.tfevents.{time.time_ns()}",
                socket.gethostname(),
                str(os.getpid()),
                "keras_mtl",
            ]
        )
        self._file = tf.io.TFRecordWriter(os.path.join(folder, name))
        self._append(file_version="brain.Event:2")

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes values by tag at one training step."""
        summary = self._tf.compat.v1.Summary()
        for tag, value in scalars.items():
            summary.value.add(tag=tag, simple_value=value)
        self._append(step=step, summary=summary)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _append(self, **fields: Any) -> None:
        event = self._tf.compat.v1.Event(wall_time=time.time(), **fields)
        self._file.write(event.SerializeToString())


def check_log_dir(log_dir: Any) -> str | os.PathLike | None:
    """The folder for TensorBoard that a user gave, or `None`.

    Raises:
        ValueError: If it is no path.
    """
    if log_dir is not None and not isinstance(log_dir, (str, os.PathLike)):
        raise ValueError(
            "`log_dir` should be a path or `None`. Received: "
            f"log_dir={log_dir!r}"
        )
    return log_dir
