"""Trains the runs of the plan that are not there yet."""

import pathlib
from collections.abc import Sequence
from typing import Any

from examples.planned_runs import finder
from examples.planned_runs import run_all
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
    """Trains what is not trained yet, and waits for what others train."""

    def train_one(config: Config) -> dict[str, Any]:
        return train(config, folder, data_dir=data_dir)

    for name in stages:
        configs = list(plan.stage(name, base, finder(folder), methods))
        run_all(configs, folder, name, train_one, _tell)


def _tell(record: dict[str, Any]) -> str:
    return f"{record['result']['validation']} {record['cpu_seconds']} s"
