"""A picture of the trade-offs between each two of several tasks."""

import os
from itertools import combinations
from typing import Any

from keras_mtl.pareto.drawing import BASELINE
from keras_mtl.pareto.drawing import by_column
from keras_mtl.pareto.drawing import draw_legend
from keras_mtl.pareto.drawing import draw_points
from keras_mtl.pareto.drawing import draw_stairs
from keras_mtl.pareto.drawing import handles_of
from keras_mtl.pareto.drawing import new_figure
from keras_mtl.pareto.drawing import refuse_one_task
from keras_mtl.pareto.drawing import save
from keras_mtl.pareto.drawing import styles
from keras_mtl.pareto.drawing import task_label
from keras_mtl.pareto.drawing import tidy
from keras_mtl.pareto.points import as_fronts

# Inches of a panel, which shrinks with their number, and of the figure.
PANEL = 2.6
MAX_FIGURE = 16.0


def plot_pairwise(
    fronts: Any,
    maximize: Any = None,
    baselines: Any = None,
    path: str | os.PathLike | None = None,
) -> Any:
    """Draws the front of each pair of tasks, one panel a pair.

    Strong points are not dominated where all tasks are looked at; the line of
    a panel is the front of its two tasks alone. A strong point far from the
    line is there for another task.

    Args:
        fronts: Points (see `non_dominated`) of two tasks or more; or a dict
            from labels to points, which get a colour each.
        maximize: See `non_dominated`.
        baselines: See `plot_front`.
        path: See `plot_front`.

    Returns:
        The `matplotlib.figure.Figure`; a notebook shows it.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If there is one task only, or as `non_dominated`.

    Example:

    ```python
    keras_mtl.pareto.plot_pairwise(
        {"sum": sum_points, "PCGrad": pcgrad_points}, maximize=True
    )
    ```
    """
    fronts = as_fronts(fronts, maximize)
    first = next(iter(fronts.values()))
    refuse_one_task(first)
    num_tasks = first.values.shape[1]
    baselines = by_column(baselines, first)
    looks = dict(zip(fronts, styles(), strict=False))
    side = min(PANEL * (num_tasks - 1) + 1.0, MAX_FIGURE)
    figure = new_figure((max(side, 4.6), max(side, 4.2)))
    panels = figure.subplots(
        num_tasks - 1, num_tasks - 1, sharex="col", sharey="row", squeeze=False
    )
    for panel in panels.flat:
        panel.set_visible(False)
    for column, row in combinations(range(num_tasks), 2):
        panel = panels[row - 1, column]
        panel.set_visible(True)
        for label, points in fronts.items():
            draw_stairs(panel, points, (column, row), looks[label])
            draw_points(panel, points, (column, row), looks[label])
        if baselines is not None:
            panel.axvline(baselines[column], zorder=1.5, **BASELINE)
            panel.axhline(baselines[row], zorder=1.5, **BASELINE)
        _name(panel, first, column, row, num_tasks)
    handles = handles_of(looks, baselines is not None)
    if num_tasks == 2:
        draw_legend(panels[0, 0], handles)
    else:
        draw_legend(figure, handles, loc="upper right")
    save(figure, path)
    return figure


def _name(
    panel: Any, points: Any, column: int, row: int, num_tasks: int
) -> None:
    """Names of tasks at the outer panels alone."""
    tidy(panel)
    panel.tick_params(labelsize=8)
    if row == num_tasks - 1:
        panel.set_xlabel(_broken(task_label(points, column)), fontsize=9)
    if column == 0:
        panel.set_ylabel(_broken(task_label(points, row)), fontsize=9)


def _broken(label: str) -> str:
    return label.replace(" (", "\n(")
