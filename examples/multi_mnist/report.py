"""The table and figures of all runs in a folder."""

import os
import pathlib

import numpy as np

from examples.figures import STYLES
from examples.figures import draw_line
from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.multi_mnist import many
from examples.multi_mnist.model import TASKS
from examples.multi_mnist.paper import PAPER
from examples.multi_mnist.results import SECONDS
from examples.multi_mnist.results import TITLES
from examples.multi_mnist.results import Runs
from examples.multi_mnist.results import accuracy
from examples.multi_mnist.results import load_runs
from examples.tables import spread
from keras_mtl.utils.files import write_whole


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
        few = len(runs) <= len(STYLES)
        for plot, name in (
            (plot_accuracy if few else many.plot_accuracy, "accuracy"),
            (plot_curves if few else many.plot_curves, "curves"),
        ):
            plot(source, size, runs, folder / f"{name}-{source}-{size}.png")
    text = "\n\n".join(sections) + "\n"
    write_whole(folder / "results.md", text)
    return text


def table(source: str, size: str, runs: Runs) -> str:
    """The results of one data set and size beside those of the paper."""
    lines = [
        f"### {TITLES[source]}, {size} network: test accuracy (%)",
        "",
        "| method | left | right | left, last 5 | right, last 5 "
        "| paper left | paper right | learning rate | epochs | chosen "
        "| s/epoch | CPU s/epoch | seeds |",
        "|---|" + "---:|" * 12,
    ]
    for name, seeds in runs.items():
        results = [run["result"] for run in seeds]
        published = PAPER[source, size].get(name, (None, None))
        cells = [
            name,
            *(
                spread([100 * r[key][task] for r in results])
                for key in ("test_accuracy", "last_5_test_accuracy")
                for task in TASKS
            ),
            *("" if value is None else f"{value:.2f}" for value in published),
            _range([run["config"]["learning_rate"] for run in seeds]),
            _range([len(run["history"]) for run in seeds]),
            _range([r["epoch"] for r in results]),
            *(_seconds([r[key] for r in results]) for key in SECONDS),
            str(len(seeds)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seconds(values: list[float]) -> str:
    median = np.median(values)
    return "" if np.isnan(median) else f"{median:.0f}"


def _range(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def plot_accuracy(
    source: str, size: str, runs: Runs, path: pathlib.Path
) -> None:
    """Left against right test accuracy; up and to the right is better."""
    figure, axes = new_figure(1, (6.4, 5.2))
    axis = axes[0]
    for (name, seeds), style in zip(
        runs.items(), styles(len(runs)), strict=True
    ):
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
    for axis, task in zip(axes, TASKS, strict=True):
        for (name, seeds), style in zip(
            runs.items(), styles(len(runs)), strict=True
        ):
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
