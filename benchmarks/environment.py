"""Where and how a benchmark ran, for the head of its report."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Sequence
from typing import Any

import keras

from benchmarks import peers as peers_lib


def environment(peers: Sequence[str], **settings: Any) -> dict[str, str]:
    """Where and how the measurement ran."""
    packages = ["keras", "tensorflow", "jax", "numpy"]
    packages += sorted({p for peer in peers for p in peers_lib.REQUIRED[peer]})
    threads = f"{len(os.sched_getaffinity(0))} (one a core)"
    if peers:
        import torch

        threads += f", PyTorch {torch.get_num_threads()}"
    return {
        "date": datetime.date.today().isoformat(),
        "device": _device(),
        "threads": threads,
        # The machine should have been idle.
        "load before": f"{os.getloadavg()[0]:.1f}",
        "backend": keras.backend.backend(),
        "versions": ", ".join(
            f"{package} {version}"
            for package in packages
            if (version := _version(package))
        ),
        "settings": ", ".join(f"{k}={v}" for k, v in settings.items()),
    }


def _device() -> str:
    if keras.backend.backend() == "jax":
        import jax

        gpus = [d.device_kind for d in jax.devices() if d.platform == "gpu"]
    else:
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        gpus = [
            details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
    return ", ".join(gpus) or _processor()


def _processor() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
