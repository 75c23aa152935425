"""A picture of how tasks got along during a training."""

import importlib
import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_mtl.callbacks.gradient_history import GradientHistory
from keras_mtl.utils.colors import COLORS

# The second when colours start over.
DASHES = ("-", "--")
# Nobody can tell more lines apart: then the panels show their range.
MAX_LINES = len(COLORS) * len(DASHES)
# More cells than that cannot be read with a number in each.
MAX_TASKS_WITH_VALUES = 12
# Single batches are noisy: each point of a long course is a mean of several.
MAX_POINTS = 40

NORM = "gradient norm"
WEIGHT = "task weight"


class Course(NamedTuple):
    """Lines of one panel over the training steps."""

    title: str
    labels: list[str]
    values: np.ndarray


def plot_gradients(history: Any, path: str | os.PathLike | None = None) -> Any:
    """Draws how much task gradients conflict, and what was made of them.

    On the left a heat map of the mean cosine of each pair of task gradients:
    red where two tasks pull against each other, blue where they pull together.
    Beside it the courses of cosines, gradient norms and task weights. With
    more than three tasks the first course is, for each task, the mean cosine
    with the others. Long courses are drawn as means over some logged steps.

    Args:
        history: A `keras_mtl.callbacks.GradientMonitor`, or its `history`.
        path: Where to write the figure; the ending says the format. Its
            folder is made when it is missing. `None` writes nothing.

    Returns:
        The `matplotlib.figure.Figure`; a notebook shows it.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If no step was logged.

    Example:

    ```python
    monitor = keras_mtl.callbacks.GradientMonitor(every_n_steps=10)
    model.fit(x, y, callbacks=[monitor])
    keras_mtl.callbacks.plot_gradients(monitor, "gradients.png")
    ```
    """
    if not isinstance(history, GradientHistory):
        history = history.history
    if not len(history.steps):
        raise ValueError(
            "`history` holds no step yet. Train with the GradientMonitor among "
            "the `callbacks` of `fit`, for at least `every_n_steps` steps."
        )
    courses = list(_courses(history))
    map_width = np.clip(3.4 + 0.5 * (len(history.task_names) - 2), 3.4, 7.5)
    figure = _import_figure()(
        figsize=(map_width + 7.4, max(2.0 * len(courses), map_width) + 0.6),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    grid = figure.add_gridspec(
        len(courses), 2, width_ratios=(map_width + 0.6, 6.8)
    )
    _draw_map(figure, figure.add_subplot(grid[:, 0]), history)
    panels = [figure.add_subplot(grid[row, 1]) for row, _ in enumerate(courses)]
    for panel, course in zip(panels, courses, strict=True):
        panel.sharex(panels[-1])
        panel.tick_params(labelbottom=panel is panels[-1])
        _draw_course(panel, history.steps, course)
    # One legend for successive panels with the same lines.
    for row, (panel, course) in enumerate(zip(panels, courses, strict=True)):
        if row == 0 or course.labels != courses[row - 1].labels:
            panel.legend(
                loc="upper left",
                bbox_to_anchor=(1.0, 1.0),
                frameon=False,
                fontsize=9,
            )
    panels[-1].set_xlabel("training step")
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    return figure


def _import_figure() -> type:
    # The class and not pyplot, so that no display and no state is touched.
    try:
        importlib.import_module("matplotlib.figure")
        from keras_mtl.utils.notebook_figure import NotebookFigure
    except ImportError as error:
        raise ImportError(
            "`plot_gradients` draws with matplotlib, which is not installed. "
            "Run: pip install 'keras_mtl[examples]'"
        ) from error
    return NotebookFigure


def _courses(history: GradientHistory) -> Iterator[Course]:
    names = list(history.task_names)
    cosines = history.cosines
    if len(names) <= 3:
        pairs = list(combinations(range(len(names)), 2))
        yield Course(
            "cosine of two task gradients",
            [f"{names[i]} · {names[j]}" for i, j in pairs],
            np.stack([cosines[:, i, j] for i, j in pairs], axis=1),
        )
    else:
        others = np.where(np.eye(len(names), dtype=bool), np.nan, cosines)
        yield Course("mean cosine with the other tasks", names, _mean(others))
    yield Course(NORM, names, history.norms)
    if not np.all(np.isnan(history.weights)):
        yield Course(WEIGHT, names, history.weights)


def _mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of what is finite; NaN where nothing is."""
    finite = np.isfinite(values)
    total = np.sum(np.where(finite, values, 0.0), axis=axis)
    count = np.sum(finite, axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _thin(values: np.ndarray) -> np.ndarray:
    """Means `[m, ...]`, m <= MAX_POINTS, of successive rows of `[n, ...]`."""
    bins = min(MAX_POINTS, len(values))
    return np.stack(
        [_mean(part, axis=0) for part in np.array_split(values, bins)]
    )


def _draw_map(figure: Any, axes: Any, history: GradientHistory) -> None:
    names = history.task_names
    num_tasks = len(names)
    mean = _mean(history.cosines, axis=0)
    np.fill_diagonal(mean, np.nan)
    # Red and blue are told apart with every common colour blindness.
    image = axes.imshow(mean, cmap="RdBu", vmin=-1, vmax=1)
    axes.set_facecolor("#DDDDDD")
    if num_tasks <= MAX_TASKS_WITH_VALUES:
        for i, j in np.argwhere(np.isfinite(mean)):
            axes.text(
                j,
                i,
                f"{mean[i, j]:.2f}".replace("-", "−"),
                ha="center",
                va="center",
                color="white" if abs(mean[i, j]) > 0.6 else "black",
                fontsize=14 if num_tasks <= 3 else 9,
            )
    wide = num_tasks > 3 and max(map(len, names)) > 4
    axes.set_xticks(range(num_tasks), names, rotation=90 if wide else 0)
    axes.set_yticks(range(num_tasks), names)
    if num_tasks > 20:
        axes.tick_params(labelsize=6)
    steps = history.steps
    axes.set_title(
        "mean cosine of task gradients\n"
        f"{len(steps)} steps from {steps[0]} to {steps[-1]}",
        fontsize=11,
    )
    bar = figure.colorbar(image, cax=axes.inset_axes([1.03, 0, 0.04, 1]))
    bar.set_ticks([-1, 0, 1], labels=["−1\nopposed", "0", "1\naligned"])


def _draw_course(axes: Any, steps: np.ndarray, course: Course) -> None:
    steps, values = _thin(steps), _thin(course.values)
    if len(course.labels) <= MAX_LINES:
        _draw_lines(axes, steps, values, course.labels)
    else:
        _draw_range(axes, steps, values)
    axes.set_title(course.title, loc="left", fontsize=11)
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    if course.title == NORM:
        if np.nanmin(values) > 0:
            axes.set_yscale("log")
    elif course.title != WEIGHT:
        axes.axhline(0, color="#555555", linewidth=1.0, zorder=1.8)


def _draw_lines(
    axes: Any, steps: np.ndarray, values: np.ndarray, labels: list[str]
) -> None:
    for line, label in enumerate(labels):
        axes.plot(
            steps,
            values[:, line],
            color=COLORS[line % len(COLORS)],
            linestyle=DASHES[line // len(COLORS)],
            linewidth=1.6,
            # A line needs two points.
            marker="o" if len(steps) == 1 else None,
            label=label,
        )


def _draw_range(axes: Any, steps: np.ndarray, values: np.ndarray) -> None:
    low, lower, median, upper, high = np.nanquantile(
        values, [0, 0.25, 0.5, 0.75, 1], axis=1
    )
    color = COLORS[0]
    axes.plot(steps, median, color=color, label="median task")
    band = dict(color=color, linewidth=0)
    axes.fill_between(
        steps, lower, upper, alpha=0.35, label="middle half", **band
    )
    axes.fill_between(steps, low, high, alpha=0.15, label="all tasks", **band)
