"""Runs done one after the other, by all processes that share a folder."""

import pathlib
import time
from collections.abc import Iterable

from examples.runs import read_record
from examples.small_towers.images import plan
from examples.small_towers.images.train import Config
from examples.small_towers.images.train import train
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock


def run_stages(
    stages: Iterable[str],
    bases: Iterable[Config],
    folder: pathlib.Path,
    data_dir: str | None,
) -> None:
    """Trains what is not trained yet, and waits for what others train.

    Args:
        stages: Some of `plan.STAGES`, in their order.
        bases: What the runs of each source have in common.
        folder: Where runs are kept.
        data_dir: As for `multi_mnist`.
    """
    for stage in stages:
        for base in bases:
            configs = list(plan.stage(stage, base, finder(folder)))
            run_all(configs, folder, f"{base.source}, {stage}", data_dir)


def finder(folder: pathlib.Path) -> plan.Find:
    """Looks for finished runs in a folder."""

    def find(config: Config) -> dict | None:
        record = read_record(folder / f"{config.name}.json")
        return record if record and "result" in record else None

    return find


def run_all(
    configs: list[Config],
    folder: pathlib.Path,
    title: str,
    data_dir: str | None = None,
) -> None:
    """Trains each run, or lets another process do it."""
    find = finder(folder)
    todo = [config for config in configs if find(config) is None]
    waited = False
    while todo:
        for config in todo:
            # Those that another process is at come last, and are waited for.
            lock = try_lock(
                folder / f"{config.name}.json", patience=-1 if waited else 0
            )
            if lock is None:
                continue
            try:
                start = time.perf_counter()
                record = train(config, folder, data_dir=data_dir)
            finally:
                unlock(lock)
            done = sum(find(other) is not None for other in configs)
            seconds = time.perf_counter() - start
            print(
                f"{title} {done}/{len(configs)}: {config.name} "
                f"{record['result']['validation']} {seconds:.0f} s",
                flush=True,
            )
        todo = [config for config in configs if find(config) is None]
        waited = True
