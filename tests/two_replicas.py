"""Two replicas of `tf.distribute` beside one device, in another process."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def run(program: str) -> None:
    """Runs a program that ends with `compare`.

    One strategy a process is all that TensorFlow can do, and a processor can
    be two devices only before it is first used.
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]


def split_processor() -> None:
    """Makes two devices of the processor; before anything else is done."""
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * 2
    )


def compare(train: Callable[..., tuple], rules: dict[str, Any]) -> None:
    """Trains by each rule on one device and on two replicas.

    Args:
        train: Takes a rule, returns values of variables and logs.
        rules: The rules, by name.
    """
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    for name, rule in rules.items():
        one, one_logs = train(rule)
        with strategy.scope():
            two, two_logs = train(rule)
        assert one_logs.keys() == two_logs.keys(), (one_logs, two_logs)
        pairs = list(zip(one, two, strict=True))
        pairs += [(one_logs[key], two_logs[key]) for key in one_logs]
        gap = np.max([np.abs(np.subtract(a, b)).max() for a, b in pairs])
        print(name, "gap", gap, one_logs, two_logs)
        assert gap < 1e-5, (name, gap)
