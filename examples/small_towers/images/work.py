"""Runs done one after the other, by all processes that share a folder."""

import pathlib
from collections.abc import Iterable
from typing import Any

from examples.planned_runs import finder
from examples.planned_runs import run_all
from examples.small_towers.images import plan
from examples.small_towers.images.train import Config
from examples.small_towers.images.train import train


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

    def train_one(config: Config) -> dict[str, Any]:
        return train(config, folder, data_dir=data_dir)

    for stage in stages:
        for base in bases:
            configs = list(plan.stage(stage, base, finder(folder)))
            title = f"{base.source}, {stage}"
            run_all(configs, folder, title, train_one, _tell)


def _tell(record: dict[str, Any]) -> str:
    return f"{record['result']['validation']} {record['seconds']:.0f} s"
