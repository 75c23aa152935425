"""Trains the runs of the plan that are not there yet."""

import pathlib
from collections.abc import Sequence

from examples.runs import read_record
from examples.small_towers.movielens import plan
from examples.small_towers.movielens.config import Config
from examples.small_towers.movielens.train import train
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock


def run_stages(
    base: Config,
    folder: pathlib.Path,
    stages: Sequence[str],
    methods: Sequence[str] = plan.METHODS,
    data_dir: str | None = None,
) -> None:
    """Trains what is not trained yet, and waits for what others train."""
    for name in stages:
        configs = list(plan.stage(name, base, finder(folder), methods))
        # Those that another process is at come last, and are waited for.
        for patience in (0, -1):
            for config in configs:
                _run(config, folder, name, patience, data_dir)


def _run(
    config: Config,
    folder: pathlib.Path,
    title: str,
    patience: int,
    data_dir: str | None,
) -> None:
    if finder(folder)(config) is not None:
        return
    lock = try_lock(folder / f"{config.name}.json", patience=patience)
    if lock is None:
        return
    try:
        record = train(config, folder, data_dir=data_dir)
    finally:
        unlock(lock)
    found, seconds = record["result"]["validation"], record["cpu_seconds"]
    print(f"{title}: {config.name} {found} {seconds} s", flush=True)


def finder(folder: pathlib.Path) -> plan.Find:
    """Looks for finished runs in a folder."""

    def find(config: Config) -> dict | None:
        record = read_record(folder / f"{config.name}.json")
        return record if record and "result" in record else None

    return find
