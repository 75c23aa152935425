"""Trains the runs of the plan that are not there yet."""

import pathlib
from collections.abc import Sequence

from examples.runs import alone
from examples.runs import read_record
from examples.small_towers.movielens import plan
from examples.small_towers.movielens.config import Config
from examples.small_towers.movielens.train import train


def run_stages(
    base: Config,
    folder: pathlib.Path,
    stages: Sequence[str],
    methods: Sequence[str] = plan.METHODS,
    data_dir: str | None = None,
) -> None:
    """Trains what is not trained yet."""
    for name in stages:
        configs = list(plan.stage(name, base, finder(folder), methods))
        for number, config in enumerate(configs, 1):
            with alone(folder / f"{config.name}.json"):
                record = train(config, folder, data_dir=data_dir)
            print(
                f"{name} {number}/{len(configs)}: {config.name} "
                f"{record['result']['validation']} "
                f"{record['cpu_seconds']} s",
                flush=True,
            )


def finder(folder: pathlib.Path) -> plan.Find:
    """Looks for finished runs in a folder."""

    def find(config: Config) -> dict | None:
        record = read_record(folder / f"{config.name}.json")
        return record if record and "result" in record else None

    return find
