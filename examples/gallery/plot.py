"""Small multiples: one panel a method."""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from examples.figures import STYLES
from examples.figures import save_figure
from examples.gallery.updates import Updates

COLUMNS = 6
# Both are told apart without colour too: a solid and a dashed line.
GRADIENTS = (
    {"color": STYLES[2]["color"], "linestyle": "-"},
    {"color": STYLES[4]["color"], "linestyle": (0, (4, 1.5))},
)
UPDATE = {"color": "black", "linestyle": "-"}


def plot(
    updates: Sequence[Updates], jacobian: np.ndarray, path: str | os.PathLike
) -> None:
    """Draws a panel for each method, with a legend below.

    Args:
        updates: What each method did.
        jacobian: Array `[2, 2]`, the two gradients.
        path: Where to save the figure.
    """
    from matplotlib.figure import Figure

    rows = math.ceil(len(updates) / COLUMNS)
    limits = _limits(updates, jacobian)
    width, height = limits[1] - limits[0]
    # As high as panels with equal scales need, with room for titles.
    figure = Figure(
        figsize=(12, rows * (1.68 * height / width + 0.46) + 0.4),
        layout="constrained",
    )
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    # The axes that are left over are switched off below.
    for axis, one in zip(axes, updates, strict=False):
        _panel(axis, one, jacobian, limits)
    for axis in axes[len(updates) :]:
        axis.set_axis_off()
    figure.legend(
        handles=_legend(), loc="outside lower center", ncols=5, frameon=False
    )
    save_figure(figure, path)


def _limits(
    updates: Sequence[Updates], jacobian: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same for all panels, so that lengths can be compared."""
    shown = [np.zeros((1, 2)), jacobian, *(u.points for u in updates)]
    points = np.concatenate(shown)
    low, high = points.min(axis=0), points.max(axis=0)
    size = (high - low).max()
    # Where gradients agree, what hurts lies behind the origin.
    low = np.minimum(low, -0.2 * size)
    return low - 0.08 * size, high + 0.08 * size


def _panel(axis: Any, one: Updates, jacobian: np.ndarray, limits: Any) -> None:
    from matplotlib.patches import Polygon

    low, high = limits
    corners = cone(jacobian, np.abs([low, high]).max())
    axis.add_patch(Polygon(corners, facecolor="0.91", linewidth=0, zorder=0))
    axis.axhline(0, color="0.8", linewidth=0.6, zorder=1)
    axis.axvline(0, color="0.8", linewidth=0.6, zorder=1)
    for gradient, style in zip(jacobian, GRADIENTS, strict=True):
        _arrow(axis, gradient, linewidth=1.6, zorder=3, **style)
    axis.scatter(*one.points.T, s=7, color="0.35", linewidths=0, zorder=4)
    _arrow(axis, one.shown, linewidth=2.2, zorder=5, **UPDATE)
    axis.set_title(one.title, fontsize="medium", pad=3)
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axis.tick_params(labelsize="x-small", length=2)


def cone(jacobian: np.ndarray, size: float) -> np.ndarray:
    """Corners of the updates that hurt no task, as far as `size` and beyond.

    Their inner product with no gradient is negative: the dual cone.

    Args:
        jacobian: Array `[2, 2]`, two gradients that are not parallel.
        size: Length.

    Returns:
        Array `[4, 2]`: zero, a point on an edge, one between, one on the other.
    """
    normals = [
        sign * np.array([-g[1], g[0]]) / np.linalg.norm(g)
        for g in jacobian
        for sign in (1, -1)
    ]
    # An edge is at a right angle with one gradient, and hurts not the other.
    edges = [n for n in normals if (jacobian @ n >= -1e-6).all()]
    return 4 * size * np.array([np.zeros(2), edges[0], sum(edges), edges[1]])


def _arrow(axis: Any, end: np.ndarray, **style: Any) -> None:
    axis.annotate(
        "",
        xy=end,
        xytext=(0, 0),
        arrowprops={
            "arrowstyle": "-|>,head_length=0.35,head_width=0.16",
            "shrinkA": 0,
            "shrinkB": 0,
            "joinstyle": "miter",
            **style,
        },
        zorder=style["zorder"],
    )


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    labels = (
        "gradient of task 1",
        "gradient of task 2",
        "update (last step, or mean of draws)",
    )
    lines = [
        Line2D([], [], linewidth=2, label=label, **style)
        for label, style in zip(labels, (*GRADIENTS, UPDATE), strict=True)
    ]
    dots = Line2D([], [], linestyle="", marker="o", markersize=3, color="0.35")
    dots.set_label("other steps or draws")
    return [*lines, dots, Patch(color="0.91", label="hurts no task")]
