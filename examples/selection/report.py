"""Tables and a figure of all runs in a folder."""

import os
import pathlib
from typing import Any

import numpy as np

from examples.figures import draw_line
from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.runs import read_record
from examples.selection.train import METHODS
from examples.selection.train import TASKS
from examples.selection.train import Config
from keras_mtl.utils.files import write_whole

Runs = dict[str, list[dict[str, Any]]]  # by label, in the order of the seeds


def write_report(output_dir: str | os.PathLike) -> str:
    """Writes `results.md` and `selection.png` of all finished runs.

    Args:
        output_dir: The folder with the JSON files of `train`.

    Returns:
        The tables, in Markdown.
    """
    folder = pathlib.Path(output_dir)
    runs = load_runs(folder)
    if not runs:
        raise FileNotFoundError(
            f"`output_dir` holds no finished run. Received: {folder}"
        )
    text = f"{accuracy_table(runs)}\n\n{choice_table(runs)}\n"
    write_whole(folder / "results.md", text)
    plot(runs, folder / "selection.png")
    return text


def load_runs(folder: pathlib.Path) -> Runs:
    """Finished runs in the order of the methods, decays and seeds."""
    runs: Runs = {}
    for path in sorted(folder.glob("*.json")):
        run = read_record(path)
        config = Config(**run["config"])
        if len(run["history"]) == config.epochs:
            runs.setdefault(config.label, []).append(run)
    for seeds in runs.values():
        seeds.sort(key=_seed)
    order = sorted(runs, key=lambda k: METHODS.index(k.partition("-")[0]))
    return {label: runs[label] for label in order}


def accuracy_table(runs: Runs) -> str:
    """Test accuracy of the main task, at the epoch validation chose."""
    rows = [["method", "test accuracy (%)", "minus uniform, by seed"]]
    uniform = _reached(runs.get("uniform", []))
    for label, seeds in runs.items():
        reached = _reached(seeds)
        mean = f"{np.mean(list(reached.values())):.2f}"
        if len(seeds) > 1:
            mean += f" ± {np.std(list(reached.values()), ddof=1):.2f}"
        margins = [
            f"{reached[seed] - uniform[seed]:+.2f}"
            for seed in reached
            if seed in uniform and label != "uniform"
        ]
        rows.append([label, mean, ", ".join(margins)])
    return _markdown(rows)


def choice_table(runs: Runs) -> str:
    """How often each task was chosen, and how many of these paid."""
    rows = [["bandit", "seed", *TASKS, "selected"]]
    for label, seeds in bandits(runs).items():
        for run in seeds:
            selected = ", ".join(run["selected"]) or "none"
            counts = [_count([run], task) for task in TASKS]
            rows.append([label, str(_seed(run)), *counts, selected])
        rows.append([label, "mean", *(_count(seeds, t) for t in TASKS), ""])
    return _markdown(rows)


def plot(runs: Runs, path: str | os.PathLike) -> None:
    """What the bandit chose, and what every method reached, by epoch."""
    figure, (left, right) = new_figure(2, (8.4, 3.6))
    looks = dict(zip([*TASKS, "uniform"], styles(len(TASKS) + 1), strict=True))
    for label, seeds in list(bandits(runs).items())[:1]:
        left.set_title(f"What {label} chose")
        for task in TASKS:
            shares = [_share_chosen(run, task) for run in seeds]
            _draw_band(left, shares, label=task, **looks[task])
    others = iter(styles(8)[len(looks) :])
    for label, seeds in runs.items():
        look = looks.get(label) or next(others)
        curves = [100 * best_so_far(run) for run in seeds]
        _draw_band(right, curves, label=label, **look)
    right.set_title("What all methods reached")
    left.set(ylabel="epochs trained on the task so far (%)", ylim=(0, 100))
    right.set_ylabel("main task, test accuracy\nat the best epoch so far (%)")
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend(
            fontsize="small",
            ncols=2,
            title="mean and deviation over seeds",
            title_fontsize="small",
        )
    save_figure(figure, path)


def best_so_far(run: dict[str, Any]) -> np.ndarray:
    """After each epoch, test accuracy at the best one on validation."""
    validation, test = (
        np.array([row[part] for row in run["history"]])
        for part in ("val", "test")
    )
    epochs = range(1, len(validation) + 1)
    return np.array([test[np.argmax(validation[:e])] for e in epochs])


def bandits(runs: Runs) -> Runs:
    """Those of the runs in which a bandit chose."""
    return {k: seeds for k, seeds in runs.items() if "selection" in seeds[0]}


def _draw_band(axis: Any, curves: list[np.ndarray], **style: Any) -> None:
    """The mean of the seeds, and a standard deviation to both sides."""
    values = np.stack(curves)
    mean, deviation = (
        values.mean(axis=0),
        values.std(axis=0, ddof=int(len(values) > 1)),
    )
    draw_line(axis, mean, **style)
    band = mean - deviation, mean + deviation
    epochs = range(1, len(mean) + 1)
    axis.fill_between(epochs, *band, color=style["color"], alpha=0.15, lw=0)


def _reached(seeds: list[dict[str, Any]]) -> dict[int, float]:
    return {_seed(run): 100 * best_so_far(run)[-1] for run in seeds}


def _share_chosen(run: dict[str, Any], task: str) -> np.ndarray:
    chosen = np.array([entry["task"] == task for entry in run["selection"]])
    return 100 * np.cumsum(chosen) / np.arange(1, len(chosen) + 1)


def _count(seeds: list[dict[str, Any]], task: str) -> str:
    entries = [entry for run in seeds for entry in run["selection"]]
    rewards = [entry["reward"] for entry in entries if entry["task"] == task]
    paid = f" ({100 * np.mean(rewards):.0f} %)" if rewards else ""
    return f"{len(rewards) / len(seeds):g}{paid}"


def _seed(run: dict[str, Any]) -> int:
    return run["config"]["seed"]


def _markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|" + "---:|" * (len(rows[0]) - 1))
    return "\n".join(lines)
