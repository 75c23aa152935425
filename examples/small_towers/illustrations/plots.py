"""The paper's figures 1, 7 and 8: what is known of fronts, and the data."""

import os
from typing import Any

import numpy as np

from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.small_towers.illustrations import trade_offs
from examples.small_towers.illustrations.trade_offs import TASKS
from keras_mtl.datasets import synthetic_sine

WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
CURVE, OTHER, POINT, *_ = (style["color"] for style in styles(8)[1:])


def curve(span: float) -> np.ndarray:
    """Both losses `[2, M]` where `sqrt(L1) + sqrt(L2)` is `span`."""
    root = np.linspace(0, span, 200)
    return np.stack([root**2, (span - root) ** 2])


def draw_training_trade_off(path: str | os.PathLike) -> None:
    """Figure 1: networks that share all they have, and that do not."""
    x, y = trade_offs.random_labels()
    span = float(np.linalg.norm(y["y1"] - y["y2"]))
    figure, (axis,) = new_figure(1, (5.4, 4.6))
    label = r"$\sqrt{L_1} + \sqrt{L_2} = \Vert Y_1 - Y_2 \Vert$"
    axis.plot(*curve(span), color=CURVE, label=label)
    for heads, color, marker, name in (
        (False, "black", "o", "trained, one output for both tasks"),
        (True, POINT, "D", "trained, an output for each task"),
    ):
        losses = [
            trade_offs.wide_network(x, y, weight, heads) for weight in WEIGHTS
        ]
        axis.plot(
            *([row[task] for row in losses] for task in TASKS),
            linestyle="",
            marker=marker,
            color=color,
            label=name,
            clip_on=False,
            zorder=3,
        )
    _finish(axis, "training loss $L_1$", "training loss $L_2$")
    axis.set_title("20 random labels a task, 500 hidden units", fontsize=10)
    save_figure(figure, path)


def draw_convex_front(path: str | os.PathLike) -> None:
    """Figure 7: the chord between two points of a convex front."""
    a, b = np.zeros((1, 2), "float32"), np.ones((1, 2), "float32")
    span = float(np.linalg.norm(a - b))
    figure, (axis,) = new_figure(1, (5.4, 4.6))
    losses = curve(span)
    axis.fill_between(*losses, span**2, color=CURVE, alpha=0.1, linewidth=0)
    axis.plot(*losses, color=CURVE, label="Pareto front")
    # theta_0 is half-way between the two.
    weights = {r"$\theta_1$": 0.8, r"$\theta_2$": 0.3}
    found = [
        trade_offs.quadratics({"y1": a, "y2": b}, weight)
        for weight in weights.values()
    ]
    ends = np.array([[row[task] for task in TASKS] for row in found])
    axis.plot(*ends.T, color="black", linestyle="--", label="chord")
    middle = np.sqrt(ends).mean(axis=0) ** 2
    points = {r"$P(\theta_1)$": ends[0], r"$P(\theta_2)$": ends[1]}
    points[r"$P(\theta_0)$"] = middle
    chord = ends.mean(axis=0)
    points[r"$\frac{1}{2}P(\theta_1) + \frac{1}{2}P(\theta_2)$"] = chord
    axis.annotate(
        "",
        middle,
        chord,
        arrowprops={"arrowstyle": "->", "color": "0.4", "shrinkB": 5},
    )
    for name, point in points.items():
        axis.plot(*point, marker="o", color="black", zorder=3)
        below = name == r"$P(\theta_0)$"
        offset = (-36, -12) if below else (8, 6)
        axis.annotate(name, point, offset, textcoords="offset points")
    _finish(axis, "$L_1$", "$L_2$")
    title = r"$L_t = \Vert\theta - Y_t\Vert^2$,  "
    title += r"$\theta_0 = (\theta_1 + \theta_2) / 2$"
    axis.set_title(title, fontsize=10)
    save_figure(figure, path)


def _finish(axis: Any, x_label: str, y_label: str) -> None:
    axis.set(xlabel=x_label, ylabel=y_label)
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9, loc="upper right")


def draw_data(path: str | os.PathLike) -> None:
    """Figure 8: both tasks against the sum of the features."""
    features, labels = synthetic_sine(20_000)
    x = features.sum(axis=1)
    figure, axes = new_figure(2, (10.5, 4))
    looks = {"y1": CURVE, "y2": OTHER}
    for task, color in looks.items():
        axes[0].plot(
            x,
            labels[task][:, 0],
            ".",
            color=color,
            markersize=1.5,
            alpha=0.5,
            rasterized=True,
        )
        near = np.abs(x) < 0.5
        axes[1].plot(
            x[near], labels[task][near, 0], ".", color=color, markersize=3
        )
        axes[1].plot([], [], "o", color=color, label=task)
    axes[0].set(title="20,000 examples", ylabel="label")
    axes[1].set(title="those close to 0")
    axes[1].legend(frameon=False)
    for axis in axes:
        axis.set_xlabel("$x = x_1 + \\dots + x_{200}$")
        axis.grid(color="0.92")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
