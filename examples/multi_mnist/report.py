"""The table and figures of all runs in a folder."""

import collections
import json
import os
import pathlib
from typing import Any

import numpy as np

from examples.figures import draw_line
from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.multi_mnist import methods
from examples.multi_mnist.model import SIZES
from examples.multi_mnist.model import TASKS
from keras_mtl.datasets.multi_mnist import SOURCES

# Wang et al., 2020: tables 1 and 2, and single tasks from tables 4 and 5.
# Accuracies (left, right) in percent.
PAPER = {
    ("mnist", "small"): {
        "single": (91.16, 88.61),
        "sum": (90.95, 88.92),
        "uncertainty": (91.56, 89.59),
        "mgda_ub": (90.09, 89.09),
        "pcgrad": (91.33, 88.88),
        "self_auxiliary": (91.49, 89.19),
    },
    ("mnist", "medium"): {
        "single": (91.62, 89.62),
        "sum": (91.85, 89.51),
        "uncertainty": (91.86, 89.92),
        "mgda_ub": (91.44, 89.62),
        "pcgrad": (91.79, 89.85),
        "self_auxiliary": (92.20, 90.12),
    },
    ("mnist", "large"): {
        "single": (92.71, 91.01),
        "sum": (91.95, 90.82),
        "uncertainty": (92.45, 90.68),
        "mgda_ub": (92.45, 90.67),
        "pcgrad": (92.56, 90.69),
        "self_auxiliary": (92.80, 91.03),
    },
    ("fashion_mnist", "small"): {
        "single": (82.14, 81.95),
        "sum": (81.26, 80.96),
        "uncertainty": (82.46, 81.09),
        "mgda_ub": (81.36, 81.08),
        "pcgrad": (81.42, 80.94),
        "self_auxiliary": (82.70, 81.19),
    },
    ("fashion_mnist", "medium"): {
        "single": (83.13, 82.97),
        "sum": (81.90, 81.76),
        "uncertainty": (82.83, 82.25),
        "mgda_ub": (82.38, 81.97),
        "pcgrad": (82.30, 81.82),
        "self_auxiliary": (83.06, 82.38),
    },
    ("fashion_mnist", "large"): {
        "single": (83.55, 82.89),
        "sum": (82.72, 81.72),
        "uncertainty": (82.99, 82.25),
        "mgda_ub": (82.68, 82.06),
        "pcgrad": (82.78, 82.22),
        "self_auxiliary": (83.37, 82.67),
    },
}
TITLES = {"mnist": "MultiMNIST", "fashion_mnist": "MultiFashion"}
ORDER = ("single", *methods.PARTS)
Runs = dict[str, list[dict[str, Any]]]


def write_report(output_dir: str | os.PathLike) -> str:
    """Writes `results.md` and figures of all finished runs.

    Args:
        output_dir: The folder with the JSON files of `train`.

    Returns:
        The table, in Markdown.
    """
    folder = pathlib.Path(output_dir)
    groups = load_runs(folder)
    if not groups:
        raise FileNotFoundError(
            f"`output_dir` holds no finished run. Received: {folder}"
        )
    sections = []
    for (source, size), runs in groups.items():
        sections.append(table(source, size, runs))
        for plot, name in (
            (plot_accuracy, "accuracy"),
            (plot_curves, "curves"),
        ):
            plot(source, size, runs, folder / f"{name}-{source}-{size}.png")
    text = "\n\n".join(sections) + "\n"
    (folder / "results.md").write_text(text)
    return text


def load_runs(folder: pathlib.Path) -> dict[tuple[str, str], Runs]:
    """Finished runs by (source, size), then by method, one for each seed."""
    groups: dict = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    for path in sorted(folder.glob("*.json")):
        run = json.loads(path.read_text())
        if "result" not in run:
            continue
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
    for key in ("seconds_per_epoch", "cpu_seconds_per_epoch"):
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
        for x, y in zip(left["history"], right["history"])
    ]
    return {"config": left["config"], "history": history, "result": result}


def accuracy(row: dict[str, float], part: str, task: str) -> float:
    """Accuracy of a task in one epoch's row, `part` being "val" or "test"."""
    # With one output Keras leaves the output's name out.
    named = f"{part}_{task}_accuracy"
    return row[named] if named in row else row[f"{part}_accuracy"]


def table(source: str, size: str, runs: Runs) -> str:
    """The results of one data set and size beside those of the paper."""
    lines = [
        f"### {TITLES[source]}, {size} network: test accuracy (%)",
        "",
        "| method | left | right | left, last 5 | right, last 5 "
        "| paper left | paper right | epochs | chosen | s/epoch "
        "| CPU s/epoch | seeds |",
        "|---|" + "---:|" * 11,
    ]
    for name, seeds in runs.items():
        results = [run["result"] for run in seeds]
        published = PAPER[source, size].get(name, (None, None))
        cells = [
            name,
            *(
                _spread([100 * r[key][task] for r in results])
                for key in ("test_accuracy", "last_5_test_accuracy")
                for task in TASKS
            ),
            *("" if value is None else f"{value:.2f}" for value in published),
            _range([len(run["history"]) for run in seeds]),
            _range([r["epoch"] for r in results]),
            *(
                f"{np.median([r[key] for r in results]):.0f}"
                for key in ("seconds_per_epoch", "cpu_seconds_per_epoch")
            ),
            str(len(seeds)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.2f}"


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}-{high}"


def plot_accuracy(
    source: str, size: str, runs: Runs, path: pathlib.Path
) -> None:
    """Left against right test accuracy; up and to the right is better."""
    figure, axes = new_figure(1, (6.4, 5.2))
    axis = axes[0]
    for (name, seeds), style in zip(runs.items(), styles(len(runs))):
        points = np.array(
            [[r["result"]["test_accuracy"][t] for t in TASKS] for r in seeds]
        )
        axis.scatter(
            *(100 * points.T),
            s=70,
            label=name,
            zorder=3,
            **style,
        )
    axis.set(
        title=f"{TITLES[source]}, {size} network, epoch chosen on validation",
        xlabel="test accuracy, left (%)",
        ylabel="test accuracy, right (%)",
    )
    axis.margins(0.15)
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small", title="up and right is better")
    save_figure(figure, path)


def plot_curves(source: str, size: str, runs: Runs, path: pathlib.Path) -> None:
    """Validation accuracy of both tasks against the epoch."""
    figure, axes = new_figure(2, (11, 4.6))
    for axis, task in zip(axes, TASKS):
        for (name, seeds), style in zip(runs.items(), styles(len(runs))):
            for index, run in enumerate(seeds):
                values = [
                    100 * accuracy(row, "val", task) for row in run["history"]
                ]
                label = name if index == 0 else None
                draw_line(axis, values, label=label, **style)
        axis.set(
            title=f"{TITLES[source]}, {size} network: {task}",
            xlabel="epoch",
            ylabel="validation accuracy (%)",
        )
        # The first epochs would squeeze the differences into a line.
        finals = [
            100 * accuracy(run["history"][-1], "val", task)
            for seeds in runs.values()
            for run in seeds
        ]
        axis.set_ylim(min(finals) - 8, max(finals) + 1)
        axis.grid(alpha=0.3)
    axes[-1].legend(fontsize="small", loc="lower right")
    save_figure(figure, path)
