"""A picture of the trade-offs between two tasks."""

import os
from typing import Any

import numpy as np

from keras_mtl.pareto.drawing import BASELINE
from keras_mtl.pareto.drawing import by_column
from keras_mtl.pareto.drawing import draw_legend
from keras_mtl.pareto.drawing import draw_points
from keras_mtl.pareto.drawing import draw_stairs
from keras_mtl.pareto.drawing import handles_of
from keras_mtl.pareto.drawing import new_figure
from keras_mtl.pareto.drawing import save
from keras_mtl.pareto.drawing import styles
from keras_mtl.pareto.drawing import task_label
from keras_mtl.pareto.drawing import tidy
from keras_mtl.pareto.hypervolume import reference_costs
from keras_mtl.pareto.hypervolume import refuse_inside
from keras_mtl.pareto.points import as_fronts
from keras_mtl.utils.argument_validation import boolean

BOTH = (0, 1)


def plot_front(
    fronts: Any,
    maximize: Any = None,
    reference: Any = None,
    baselines: Any = None,
    ignore_beyond: bool = False,
    axes: Any = None,
    path: str | os.PathLike | None = None,
) -> Any:
    """Draws the points of two tasks, and the front of those not dominated.

    What is dominated is faint. The line is the border of what the points
    dominate: between two of them it keeps to what both reach, and does not
    promise that something lies on a straight line.

    Args:
        fronts: Points (see `non_dominated`) of two tasks; or a dict from
            labels to points, which get a colour each. A label with one point
            is `{"sum": [[0.9, 0.8]]}`: `{"sum": [0.9, 0.8]}` is a task.
        maximize: See `non_dominated`.
        reference: The reference point of `hypervolume`, or `None`. With it,
            the area that is the hypervolume is tinted.
        baselines: What single-task training reaches, drawn as lines, or
            `None`: a dict by name of task, or a sequence.
        ignore_beyond: See `hypervolume`. The line of a front then ends at the
            reference.
        axes: Matplotlib `Axes` to draw into. By default those of a new figure.
        path: Where to write the figure; the ending says the format. Its
            folder is made when it is missing. `None` writes nothing.

    Returns:
        The `matplotlib.figure.Figure`; a notebook shows it.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If there are not two tasks, if the reference is inside a
            front, or as `non_dominated`.

    Example:

    ```python
    results = keras_mtl.pareto.read_results(
        "runs.jsonl", ["left", "right"], maximize=True
    )
    keras_mtl.pareto.plot_front(
        results.by("method"),
        baselines={"left": 0.927, "right": 0.910},
        path="fronts.png",
    )
    ```
    """
    fronts = as_fronts(fronts, maximize)
    first = next(iter(fronts.values()))
    if first.values.shape[1] != 2:
        raise ValueError(
            "`fronts` must be of two tasks. Take `plot_pairwise` or "
            "`plot_parallel_coordinates` for more. Received: "
            f"{first.values.shape[1]} tasks, {first.tasks or 'without names'}"
        )
    corner = None
    if reference is not None:
        corner = reference_costs(first, reference)
    if corner is not None and not boolean("ignore_beyond", ignore_beyond):
        for points in fronts.values():
            refuse_inside(points, corner)
    is_ours = axes is None
    if is_ours:
        axes = new_figure((7.2, 5.0)).add_subplot()
    looks = dict(zip(fronts, styles(), strict=False))
    for label, points in fronts.items():
        draw_stairs(axes, points, BOTH, looks[label], corner)
        draw_points(axes, points, BOTH, looks[label])
    handles = handles_of(looks, baselines is not None)
    if baselines is not None:
        _draw_baselines(axes, by_column(baselines, first))
    if corner is not None:
        handles.append(_draw_reference(axes, first, corner))
    axes.set_xlabel(task_label(first, 0))
    axes.set_ylabel(task_label(first, 1))
    tidy(axes)
    draw_legend(axes, handles, beside=is_ours)
    save(axes.figure, path)
    return axes.figure


def _draw_baselines(axes: Any, values: np.ndarray) -> None:
    axes.axvline(values[0], zorder=1.5, **BASELINE)
    axes.axhline(values[1], zorder=1.5, **BASELINE)


def _draw_reference(axes: Any, points: Any, corner: np.ndarray) -> Any:
    x, y = np.where(points.maximize, -corner, corner)
    return axes.scatter(
        x, y, marker="x", color="black", s=50, zorder=4, label="reference"
    )
