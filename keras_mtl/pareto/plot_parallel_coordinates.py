"""A picture of points of many tasks: a line a point, an axis a task."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_mtl.pareto.drawing import BASELINE
from keras_mtl.pareto.drawing import FAINT
from keras_mtl.pareto.drawing import by_column
from keras_mtl.pareto.drawing import draw_legend
from keras_mtl.pareto.drawing import handles_of
from keras_mtl.pareto.drawing import new_figure
from keras_mtl.pareto.drawing import refuse_one_task
from keras_mtl.pareto.drawing import save
from keras_mtl.pareto.drawing import styles
from keras_mtl.pareto.non_dominated import of_costs
from keras_mtl.pareto.points import Points
from keras_mtl.pareto.points import as_fronts

# Inches of a letter in the name of a task.
LETTER = 0.09


def plot_parallel_coordinates(
    fronts: Any,
    maximize: Any = None,
    baselines: Any = None,
    axes: Any = None,
    path: str | os.PathLike | None = None,
) -> Any:
    """Draws each point as a line over the tasks, with the best at the top.

    Each task has an axis from its worst value to its best, which are written
    at the ends; where smaller is better, the smallest is at the top. Lines
    that cross between two tasks are a trade-off, lines side by side are none.
    What is dominated, in its own set of points, is faint.

    Args:
        fronts: Points (see `non_dominated`) of two tasks or more; or a dict
            from labels to points, which get a colour each.
        maximize: See `non_dominated`.
        baselines: What single-task training reaches, drawn as one line more,
            or `None`: a dict by name of task, or a sequence.
        axes: Matplotlib `Axes` to draw into. By default those of a new figure.
        path: See `plot_front`.

    Returns:
        The `matplotlib.figure.Figure`; a notebook shows it.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If there is one task only, or as `non_dominated`.

    Example:

    ```python
    keras_mtl.pareto.plot_parallel_coordinates(
        results.by("method"), path="tasks.png"
    )
    ```
    """
    fronts = as_fronts(fronts, maximize)
    first = next(iter(fronts.values()))
    refuse_one_task(first)
    num_tasks = first.values.shape[1]
    baselines = by_column(baselines, first)
    is_ours = axes is None
    if is_ours:
        width = float(np.clip(1.3 * num_tasks + 1.5, 5.5, 16.0))
        axes = new_figure((width, 4.6)).add_subplot()
    looks = dict(zip(fronts, styles(), strict=False))
    scale = _Scale(fronts, baselines)
    for label, points in fronts.items():
        _draw_lines(axes, scale.of(points.values), points, looks[label])
    if baselines is not None:
        axes.plot(scale.of(baselines), zorder=4, **BASELINE)
    _draw_axes(axes, first, scale)
    handles = handles_of(looks, baselines is not None)
    draw_legend(axes, handles, beside=is_ours)
    save(axes.figure, path)
    return axes.figure


class _Scale:
    """From values of tasks to heights: 0 is the worst, 1 the best."""

    def __init__(self, fronts: Mapping[Any, Points], baselines: Any):
        values = [points.values for points in fronts.values()]
        if baselines is not None:
            values.append(baselines[None])
        stacked = np.concatenate(values)
        low, high = stacked.min(axis=0), stacked.max(axis=0)
        maximize = next(iter(fronts.values())).maximize
        self.worst = np.where(maximize, low, high)
        self.best = np.where(maximize, high, low)

    def of(self, values: np.ndarray) -> np.ndarray:
        span = self.best - self.worst
        # Where all are the same, they are in the middle.
        safe = np.where(span == 0, 1.0, span)
        return np.where(span == 0, 0.5, (values - self.worst) / safe)


def _draw_lines(
    axes: Any, heights: np.ndarray, points: Points, style: Any
) -> None:
    kept = of_costs(points.costs)
    for line, is_kept in zip(heights, kept, strict=True):
        axes.plot(
            line,
            color=style.color,
            marker=style.marker if is_kept else None,
            markersize=5,
            markeredgewidth=0,
            linewidth=1.4 if is_kept else 0.9,
            alpha=0.85 if is_kept else FAINT,
            zorder=3 if is_kept else 2,
        )


def _draw_axes(axes: Any, points: Points, scale: _Scale) -> None:
    count = points.values.shape[1]
    for place in range(count):
        axes.axvline(place, color="#AAAAAA", linewidth=1.0, zorder=1)
        for value, height, side in (
            (scale.worst[place], -0.03, "top"),
            (scale.best[place], 1.03, "bottom"),
        ):
            text = f"{value:.4g}".replace("-", "−")
            axes.text(
                place,
                height,
                text,
                ha="center",
                va=side,
                fontsize=8,
                color="#555555",
            )
    names = points.tasks or [f"task {place}" for place in range(count)]
    room = axes.bbox.width / axes.figure.dpi / count
    upright = LETTER * max(map(len, names)) > room
    axes.set_xticks(range(count), names, rotation=90 if upright else 0)
    axes.tick_params(length=0, pad=14)
    axes.set_yticks([0, 1], ["worst", "best"])
    axes.set_xlim(-0.25, count - 0.75)
    axes.set_ylim(-0.03, 1.03)
    axes.spines[:].set_visible(False)
