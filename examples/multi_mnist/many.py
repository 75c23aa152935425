"""Figures for more methods than there are colours."""

import pathlib
from typing import Any

import numpy as np

from examples.figures import STYLES
from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.multi_mnist.methods import AGGREGATORS
from examples.multi_mnist.methods import WEIGHTINGS
from examples.multi_mnist.model import TASKS
from examples.multi_mnist.results import TITLES
from examples.multi_mnist.results import Runs
from examples.multi_mnist.results import accuracy

# Told apart without colour too.
FAMILIES = {
    "aggregators": {"marker": "o", "color": STYLES[2]["color"]},
    "weightings": {"marker": "s", "color": STYLES[4]["color"]},
    "others": {"marker": "^", "color": "black"},
}
# How many curves stand out.
NUM_BEST = 5
# Distances between labels, and between a label and a point, in pixels.
GAP = 17.0


def plot_accuracy(
    source: str, size: str, runs: Runs, path: pathlib.Path
) -> None:
    """Left against right test accuracy, numbers for names.

    Methods that are far behind are drawn at the border.
    """
    figure, axes = new_figure(1, (10.5, 6.8))
    axis = axes[0]
    points = np.array([_mean_accuracy(seeds) for seeds in runs.values()])
    low, high = _limits(points)
    inside = np.clip(points, low, high)
    axis.set(
        title=f"{TITLES[source]}, {size} network, epoch chosen on validation",
        xlabel="test accuracy, left (%)",
        ylabel="test accuracy, right (%)",
        xlim=(low[0], high[0]),
        ylim=(low[1], high[1]),
    )
    axis.grid(alpha=0.3)
    families = [_family(name) for name in runs]
    for family, style in FAMILIES.items():
        chosen = [f == family for f in families]
        axis.scatter(
            *inside[chosen].T, s=26, zorder=3, clip_on=False, label=family,
            **style,
        )  # fmt: skip
    if "sum" in runs:
        x, y = inside[list(runs).index("sum")]
        axis.axvline(x, color="0.6", linestyle=":", zorder=1)
        axis.axhline(y, color="0.6", linestyle=":", zorder=1)
    axis.legend(fontsize="small", title="up and right is better")
    _name(figure, runs, points, inside)
    _number(figure, axis, inside)
    save_figure(figure, path)


def _mean_accuracy(seeds: list[dict[str, Any]]) -> np.ndarray:
    results = [
        [run["result"]["test_accuracy"][task] for task in TASKS]
        for run in seeds
    ]
    return 100 * np.mean(results, axis=0)


def _family(name: str) -> str:
    parts = name.split("+")
    if any(part in AGGREGATORS for part in parts):
        return "aggregators"
    if any(part in WEIGHTINGS for part in parts):
        return "weightings"
    return "others"


def _limits(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A box for all but those that are far behind the rest."""
    first, middle, third = np.percentile(points, [25, 50, 75], axis=0)
    far = np.maximum(3 * (third - first), 0.5)
    low = np.maximum(points.min(axis=0), middle - far)
    high = points.max(axis=0)
    margin = 0.08 * (high - low) + 1e-3
    return low - margin, high + margin


def _name(
    figure: Any, runs: Runs, points: np.ndarray, inside: np.ndarray
) -> None:
    """Lists the names beside the axes, and where those at the border are."""
    lines = []
    for number, (name, point, drawn) in enumerate(
        zip(runs, points, inside, strict=True), 1
    ):
        where = ""
        if not np.array_equal(point, drawn):
            where = f" ({point[0]:.1f}, {point[1]:.1f})"
        lines.append((f"{number:2d}", f"{name}{where}"))
    from matplotlib.lines import Line2D

    figure.legend(
        handles=[Line2D([], [], linestyle="") for _ in lines],
        labels=[f"{number}  {name}" for number, name in lines],
        loc="outside right upper",
        ncols=1 if len(lines) <= 34 else 2,
        fontsize="x-small",
        handlelength=0,
        handletextpad=0,
        frameon=False,
    )


def _number(figure: Any, axis: Any, points: np.ndarray) -> None:
    """Writes a number near each point, and no two on one spot."""
    # So that the place of the axes is known.
    figure.canvas.draw()
    anchors = axis.transData.transform(points)
    offsets = (spread(anchors) - anchors) * 72 / figure.dpi
    for number, (point, offset) in enumerate(
        zip(points, offsets, strict=True), 1
    ):
        axis.annotate(
            str(number),
            xy=point,
            xytext=offset,
            textcoords="offset points",
            fontsize="x-small",
            ha="center",
            va="center",
            zorder=4,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "0.5"},
        )


def spread(anchors: np.ndarray) -> np.ndarray:
    """Places near the anchors that keep off each other and off all anchors.

    Args:
        anchors: `[n, 2]`, in pixels.

    Returns:
        `[n, 2]`, in pixels.
    """
    angle = 2.4 * np.arange(len(anchors))
    around = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    places = anchors + GAP * around
    for _ in range(300):
        others = np.concatenate([places, anchors])
        apart = places[:, None] - others
        distances = np.linalg.norm(apart, axis=-1)
        overlap = np.maximum(GAP - distances, 0) * (distances > 0)
        push = apart / np.maximum(distances, 1e-6)[..., None]
        places = places + 0.3 * (overlap[..., None] * push).sum(axis=1)
        # Back, where there is room.
        back = anchors - places
        away = np.linalg.norm(back, axis=-1, keepdims=True)
        places = places + 0.02 * back * (away > GAP)
    return places


def plot_curves(source: str, size: str, runs: Runs, path: pathlib.Path) -> None:
    """Validation accuracy against the epoch: the best, the sum, all others."""
    figure, axes = new_figure(2, (11, 4.6))
    means = {name: _mean_accuracy(seeds).mean() for name, seeds in runs.items()}
    best = sorted(means, key=means.get, reverse=True)[:NUM_BEST]
    shown = [name for name in runs if name in best or name == "sum"]
    for axis, task in zip(axes, TASKS, strict=True):
        curves = {name: _curve(seeds, task) for name, seeds in runs.items()}
        for name, curve in curves.items():
            if name not in shown:
                axis.plot(*curve, color="0.8", linewidth=0.8, zorder=1)
        axis.plot([], [], color="0.8", label="others")
        for name, style in zip(shown, styles(len(shown)), strict=True):
            axis.plot(
                *curves[name], linewidth=1.5, markersize=4, label=name, **style
            )
        finals = [curves[name][1][-1] for name in shown]
        axis.set(
            title=f"{TITLES[source]}, {size} network: {task}",
            xlabel="epoch",
            ylabel="validation accuracy (%)",
            ylim=(min(finals) - 8, max(finals) + 1),
        )
        axis.grid(alpha=0.3)
    axes[-1].legend(fontsize="small", loc="lower right")
    save_figure(figure, path)


def _curve(
    seeds: list[dict[str, Any]], task: str
) -> tuple[np.ndarray, np.ndarray]:
    """Epochs, and the mean over seeds as far as all of them go."""
    length = min(len(run["history"]) for run in seeds)
    values = [
        [accuracy(row, "val", task) for row in run["history"][:length]]
        for run in seeds
    ]
    return np.arange(1, length + 1), 100 * np.mean(values, axis=0)
