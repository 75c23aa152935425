"""What tests of several callbacks read back."""

from pathlib import Path
from typing import Any

import tensorflow as tf


def read_scalars(folder: Path) -> dict[tuple[str, int], float]:
    """Values by tag and step of all event files."""
    found = {}
    for path in folder.glob("*tfevents*"):
        for record in tf.data.TFRecordDataset([str(path)]):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    return found


def labels(ticks: Any) -> list[str]:
    """What stands at the ticks of an axis."""
    return [tick.get_text() for tick in ticks]
