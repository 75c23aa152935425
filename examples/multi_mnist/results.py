"""Finished runs, and what is reported of each."""

import collections
import pathlib
from typing import Any

import numpy as np

from examples.multi_mnist import methods
from examples.multi_mnist.model import SIZES
from examples.multi_mnist.model import TASKS
from examples.runs import read_record
from keras_mtl.datasets.multi_mnist import SOURCES

TITLES = {"mnist": "MultiMNIST", "fashion_mnist": "MultiFashion"}
SECONDS = ("seconds_per_epoch", "cpu_seconds_per_epoch")
ORDER = ("single", *methods.PARTS)
Runs = dict[str, list[dict[str, Any]]]


def load_runs(folder: pathlib.Path) -> dict[tuple[str, str], Runs]:
    """Finished runs by (source, size), then by method, one for each seed."""
    groups: dict = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    for path in sorted(folder.glob("*.json")):
        run = read_record(path)
        if len(run["history"]) < run["config"]["epochs"]:
            continue
        run["result"] = summarize(run)
        config = run["config"]
        groups[config["source"], config["size"]][config["method"]].append(run)
    for runs in groups.values():
        _pair_single(runs)
    keys = [(source, size) for source in SOURCES for size in SIZES]
    return {key: _sorted(groups[key]) for key in keys if key in groups}


def _sorted(runs: Runs) -> Runs:
    # Combinations come after the methods they are made of.
    def position(name):
        return name.count("+"), [ORDER.index(p) for p in name.split("+")]

    return {name: runs[name] for name in sorted(runs, key=position)}


def _pair_single(runs: Runs) -> None:
    """Joins the single-task runs of one seed into one row, `single`."""
    for suffix in {
        name.removeprefix(f"single_{task}")
        for name in runs
        for task in TASKS
        if name.startswith(f"single_{task}")
    }:
        sides = [runs.pop(f"single_{task}{suffix}", []) for task in TASKS]
        seeds = [{r["config"]["seed"]: r for r in side} for side in sides]
        for seed in sorted(seeds[0].keys() & seeds[1].keys()):
            runs[f"single{suffix}"].append(
                _join(*(by_seed[seed] for by_seed in seeds))
            )
        if not runs[f"single{suffix}"]:
            del runs[f"single{suffix}"]


def _join(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    a, b = left["result"], right["result"]
    result = {
        key: a[key] | b[key]
        for key in ("test_accuracy", "last_5_test_accuracy")
    }
    result["epoch"] = max(a["epoch"], b["epoch"])
    for key in SECONDS:
        result[key] = a[key] + b[key]
    history = [
        {
            "epoch": x["epoch"],
            **{
                f"{part}_{task}_accuracy": accuracy(row, part, task)
                for task, row in (("left", x), ("right", y))
                for part in ("val", "test")
            },
        }
        for x, y in zip(left["history"], right["history"], strict=True)
    ]
    return {"config": left["config"], "history": history, "result": result}


def summarize(record: dict[str, Any]) -> dict[str, Any]:
    """Test accuracies of the epoch that validation chooses, and of the last.

    Args:
        record: A run's record with at least one epoch.

    Returns:
        A dict with the chosen `epoch` (1 is the first), `test_accuracy` of
        every task at that epoch, `last_5_test_accuracy` (mean of the last
        five epochs, as in the paper), and the medians `seconds_per_epoch`
        and `cpu_seconds_per_epoch` of training alone.
    """
    history = record["history"]
    tasks = methods.parse(record["config"]["method"]).tasks
    best = max(
        history,
        key=lambda row: np.mean([accuracy(row, "val", t) for t in tasks]),
    )
    return {
        "epoch": best["epoch"],
        "test_accuracy": {t: accuracy(best, "test", t) for t in tasks},
        "last_5_test_accuracy": {
            t: float(np.mean([accuracy(r, "test", t) for r in history[-5:]]))
            for t in tasks
        },
        "seconds_per_epoch": _median(history, "train_seconds"),
        "cpu_seconds_per_epoch": _median(history, "train_cpu_seconds"),
    }


def _median(history: list[dict[str, float]], key: str) -> float:
    return float(np.median([row.get(key, np.nan) for row in history]))


def accuracy(row: dict[str, float], part: str, task: str) -> float:
    """Accuracy of a task in one epoch's row, `part` being "val" or "test"."""
    # With one output Keras leaves the output's name out.
    named = f"{part}_{task}_accuracy"
    return row[named] if named in row else row[f"{part}_accuracy"]
