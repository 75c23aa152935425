"""The table and the figure of runs that compare architectures."""

import os

import numpy as np

from examples.architecture_runs import Run
from examples.architecture_runs import Runs
from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.tables import spread


def table(runs: Runs, digits: int = 2) -> str:
    """Mean and standard deviation over the seeds, in percent, in Markdown.

    Args:
        runs: What `load_runs` returned.
        digits: How many after the decimal point.
    """
    tasks = next(iter(runs.values()))[0]["tasks"]
    heads = [
        "model",
        *tasks,
        "mean of both",
        "parameters",
        "width",
        "learning rate",
        "epoch",
        "s/epoch",
        "seeds",
    ]
    lines = [_line(heads), "|---|" + "---:|" * (len(heads) - 1)]
    for name, seeds in runs.items():
        points = test_results(seeds)
        results = [run["result"] for run in seeds]
        cells = [
            name,
            *(spread(values, digits) for values in points.T),
            spread(points.mean(axis=1), digits),
            _range([run["parameters"] for run in seeds]),
            _range([run["width"] for run in seeds]),
            _range([run["config"]["learning_rate"] for run in seeds]),
            _range([e for r in results for e in r["epoch"].values()]),
            f"{np.median([r['seconds_per_epoch'] for r in results]):.1f}",
            str(len(seeds)),
        ]
        lines.append(_line(cells))
    return "\n".join(lines)


def test_results(seeds: list[Run]) -> np.ndarray:
    """Array `(seeds, tasks)`, in percent."""
    return 100 * np.array(
        [[r["result"]["test"][task] for task in r["tasks"]] for r in seeds]
    )


def plot(
    runs: Runs, path: str | os.PathLike, *, title: str, xlabel: str, ylabel: str
) -> None:
    """One task against the other: seeds small, the mean of a model large."""
    figure, axes = new_figure(1, (6.4, 5.2))
    axis = axes[0]
    for (name, seeds), style in zip(
        runs.items(), styles(len(runs)), strict=True
    ):
        points = test_results(seeds)
        axis.scatter(*points.T, s=24, alpha=0.5, linewidths=0, **style)
        axis.scatter(*points.mean(axis=0), s=130, label=name, zorder=3, **style)
    axis.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axis.margins(0.12)
    axis.grid(alpha=0.3)
    axis.legend(
        fontsize="small",
        title="large: mean; small: seeds\nup and right is better",
        title_fontsize="small",
        markerscale=0.6,
    )
    save_figure(figure, path)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _range(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
