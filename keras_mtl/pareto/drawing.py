"""What the pictures of fronts have in common."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_mtl.pareto.by_task import numbers_by_task
from keras_mtl.pareto.non_dominated import front_of
from keras_mtl.pareto.non_dominated import of_costs
from keras_mtl.pareto.optional import import_optional
from keras_mtl.pareto.points import Points
from keras_mtl.utils.argument_validation import optional_file
from keras_mtl.utils.colors import COLORS

# Of one colour each.
MARKERS = "osD^vPX*"
# Of what is not on a front.
FAINT = 0.25
BASELINE = {"color": "#555555", "linestyle": "--", "linewidth": 1.2}
GRID = {"color": "#E5E5E5", "linewidth": 0.8}


class Style(NamedTuple):
    """How the points of one label are drawn."""

    color: str
    marker: str


def styles() -> Iterator[Style]:
    """Colours with markers, without end: the markers go on to the next one."""
    number = 0
    while True:
        shift = number // len(COLORS)
        yield Style(
            COLORS[number % len(COLORS)],
            MARKERS[(number + shift) % len(MARKERS)],
        )
        number += 1


def new_figure(size: tuple[float, float]) -> Any:
    """A figure of so many inches, which notebooks show."""
    # Without pyplot, so that no display and no state is touched.
    import_optional("matplotlib.figure", "Fronts are drawn")
    from keras_mtl.utils.notebook_figure import NotebookFigure

    return NotebookFigure(figsize=size, layout="constrained")


def save(figure: Any, path: str | os.PathLike | None) -> None:
    """Writes a figure, if there is a path; the ending says the format."""
    path = optional_file("path", path)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


def by_column(baselines: Any, points: Points) -> np.ndarray | None:
    """Baselines `[T]` in the order of the columns, if there are any."""
    if baselines is None:
        return None
    return numbers_by_task(
        "baselines", baselines, points.tasks, points.values.shape[1]
    )


def refuse_one_task(points: Points) -> None:
    """Raises if there are no two tasks to draw against each other."""
    if points.values.shape[1] < 2:
        raise ValueError(
            "`fronts` must be of two tasks or more. Received: one, "
            f"{points.tasks or 'without a name'}"
        )


def task_label(points: Points, column: int) -> str:
    """What an axis says of a task."""
    name = f"task {column}" if points.tasks is None else points.tasks[column]
    better = "larger" if points.maximize[column] else "smaller"
    return f"{name} ({better} is better)"


def draw_points(
    axes: Any,
    points: Points,
    columns: tuple[int, int],
    style: Style,
    label: str | None = None,
) -> None:
    """Draws what is not dominated in all tasks strongly, the rest faintly."""
    x, y = points.values[:, columns].T
    kept = of_costs(points.costs)
    look = {"color": style.color, "marker": style.marker, "linewidths": 0}
    axes.scatter(x[~kept], y[~kept], s=22, alpha=FAINT, zorder=2, **look)
    axes.scatter(x[kept], y[kept], s=46, zorder=3, label=label, **look)


def draw_stairs(
    axes: Any,
    points: Points,
    columns: tuple[int, int],
    style: Style,
    corner: np.ndarray | None = None,
) -> None:
    """Draws the border of what the points dominate in two tasks.

    Args:
        axes: Where to.
        points: Whose front it is.
        columns: The two tasks.
        style: Its colour.
        corner: Costs `[2]` of the reference, up to which the area is tinted.
    """
    stairs = _stairs(points.costs[:, columns], corner)
    signs = np.where(points.maximize[list(columns)], -1, 1)
    x, y = (signs * stairs).T
    axes.plot(x, y, color=style.color, linewidth=1.3, alpha=0.8, zorder=2.5)
    if corner is not None:
        # The border goes on to the two ends; the corner closes it.
        around = signs * np.vstack([stairs, corner])
        axes.fill(*around.T, color=style.color, alpha=0.08, linewidth=0)


def _stairs(costs: np.ndarray, corner: np.ndarray | None) -> np.ndarray:
    """Corners `[M, 2]` of the border of what is dominated, in order."""
    front = front_of(costs)
    if corner is not None:
        front = front[(front <= corner).all(axis=1)]
    # To the right at the height of a point, then down to the next one.
    inner = np.stack([front[1:, 0], front[:-1, 1]], axis=1)
    stairs = np.empty((2 * len(front) - 1 if len(front) else 0, 2))
    stairs[::2], stairs[1::2] = front, inner
    if corner is None or not len(front):
        return stairs
    first, last = [front[0, 0], corner[1]], [corner[0], front[-1, 1]]
    return np.vstack([first, stairs, last])


def tidy(axes: Any) -> None:
    """A quiet frame."""
    axes.grid(**GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def draw_legend(
    target: Any, handles: list[Any], beside: bool = False, **where: Any
) -> None:
    """A legend of what has a name, if anything has.

    Args:
        target: Axes, or the figure.
        handles: See `handles_of`.
        beside: Whether it stands right of the axes, where it hides nothing;
            beside axes of a user's there may be others.
        **where: Further arguments of Matplotlib's `legend`.
    """
    if beside:
        where = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    if handles:
        # Over lines, the names are legible in a frame alone.
        target.legend(handles=handles, frameon=not beside, fontsize=9, **where)


def handles_of(labels: dict[Any, Style], baselines: bool = False) -> list[Any]:
    """Entries of a legend: a marker for each label, a line for baselines."""
    lines = import_optional("matplotlib.lines", "Fronts are drawn")
    found = [
        lines.Line2D(
            [],
            [],
            color=style.color,
            marker=style.marker,
            markeredgewidth=0,
            linewidth=1.3,
            label=str(label),
        )
        for label, style in labels.items()
        if label != ""
    ]
    if baselines:
        found.append(
            lines.Line2D([], [], label="single-task baselines", **BASELINE)
        )
    return found
