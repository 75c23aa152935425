"""The table of end points and the figure of paths."""

import math
import os
import pathlib
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from examples.figures import STYLES
from examples.figures import save_figure
from examples.runs import read_record
from examples.toy.problem import PROBLEMS
from examples.toy.problem import Problem
from examples.toy.problem import distance_to_front
from examples.toy.problem import evaluate
from examples.toy.problem import pareto_front
from examples.toy.published import PUBLISHED
from keras_mtl.utils.files import write_whole

COLUMNS = 7
# What counts as on the front, which is 14 long: what looks so in the figure.
NEAR = 0.2
KINDS = ("aggregator", "weighting")
RED = "#B00000"


class Ends(NamedTuple):
    """Where a method's paths end.

    Attributes:
        points: `[S, 2]`.
        losses: `[S, 2]`.
        distances: `[S]`, from the Pareto set.
    """

    points: np.ndarray
    losses: np.ndarray
    distances: np.ndarray

    @property
    def reached(self) -> np.ndarray:
        """Booleans `[S]`: on the front."""
        return self.distances < NEAR


def write_report(output_dir: str | os.PathLike, problem: str) -> str:
    """Writes the table and the figure of all runs of a problem.

    Args:
        output_dir: The folder with the JSON files.
        problem: A name in `PROBLEMS`.

    Returns:
        The table, in Markdown.
    """
    folder = pathlib.Path(output_dir)
    runs = load_runs(folder, problem)
    if not runs:
        raise FileNotFoundError(
            f"`output_dir` holds no run of {problem}. Received: {folder}"
        )
    text = table(runs, problem)
    write_whole(folder / f"toy-{problem}.md", text + "\n")
    plot(runs, PROBLEMS[problem], folder / f"toy-{problem}.png")
    return text


def load_runs(folder: pathlib.Path, problem: str) -> list[dict[str, Any]]:
    """All runs of a problem, aggregators first, in the order of names."""
    paths = folder.glob(f"{problem}-*.json")
    runs = [read_record(path) for path in paths]
    # `sum` is what the others are compared with.
    return sorted(
        runs,
        key=lambda run: (
            KINDS.index(run["config"]["kind"]),
            run["config"]["method"] != "sum",
            run["config"]["method"],
        ),
    )


def ends(run: dict[str, Any], problem: Problem) -> Ends:
    """The end points of a run."""
    points = np.array(run["paths"], "float32")[:, -1]
    losses, _ = evaluate(keras.ops.convert_to_tensor(points), problem.scales)
    return Ends(
        points,
        keras.ops.convert_to_numpy(losses),
        distance_to_front(points),
    )


def table(runs: list[dict[str, Any]], name: str) -> str:
    """End points: distance to the Pareto front and losses, a method a line."""
    problem = PROBLEMS[name]
    starts = [f"from ({x:g}, {y:g})" for x, y in problem.starts]
    header = ["method", "reach the front", *starts, "s", "published"]
    lines = [
        f"Distance to the Pareto front (loss 1, loss 2) after "
        f"{runs[0]['config']['steps']} steps.",
        "",
        "| " + " | ".join(header) + " |",
        "|---|" + "---:|" * (len(starts) + 2) + "---|",
    ]
    for run in runs:
        config = run["config"]
        end = ends(run, problem)
        cells = [
            config["method"],
            f"{end.reached.sum()} of {len(starts)}",
            *(
                f"{distance:.2f} ({a:.2f}, {b:.1f})"
                for distance, (a, b) in zip(
                    end.distances, end.losses, strict=True
                )
            ),
            f"{run['seconds']:.0f}",
            PUBLISHED[name].get(config["method"], ""),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(
    runs: list[dict[str, Any]], problem: Problem, path: pathlib.Path
) -> None:
    """The paths of each method over the contours of the mean objective."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(runs))
    rows = math.ceil(len(runs) / columns)
    figure = Figure(
        figsize=(1.85 * columns, 1.95 * rows + 0.5), layout="constrained"
    )
    axes = figure.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=True
    ).ravel()
    landscape = _landscape()
    # The axes that are left over are switched off below.
    for axis, run in zip(axes, runs, strict=False):
        _panel(axis, run, problem, landscape)
    for axis in axes[len(runs) :]:
        axis.set_axis_off()
    handles = _legend()
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles) if columns > 3 else 2,
        frameon=False,
    )
    save_figure(figure, path)


def _landscape() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean of both objectives at the same scale, as the papers draw it."""
    x, y = np.meshgrid(np.linspace(-11, 11, 221), np.linspace(-11, 11, 221))
    points = np.stack([x, y], axis=-1).astype("float32")
    values, _ = evaluate(
        keras.ops.convert_to_tensor(points), np.ones(2, "float32")
    )
    return x, y, keras.ops.convert_to_numpy(values).mean(axis=-1)


def _panel(axis: Any, run: dict[str, Any], problem: Problem, at: Any) -> None:
    axis.contour(*at, levels=12, colors="0.75", linewidths=0.6, linestyles="-")
    axis.plot(*pareto_front().T, color="0.55", linewidth=4, zorder=2)
    end = ends(run, problem)
    # There are more styles than starts.
    for path, style in zip(np.array(run["paths"]), STYLES[1:], strict=False):
        axis.plot(*path.T, color=style["color"], linewidth=1.4, zorder=3)
    axis.scatter(*np.array(problem.starts).T, s=12, color="black", zorder=4)
    axis.scatter(
        *end.points[end.reached].T, s=38, marker="*", color="black", zorder=5
    )
    axis.scatter(
        *end.points[~end.reached].T, s=38, marker="x", color=RED, zorder=5
    )
    axis.set_title(
        f"{run['config']['method']}: {end.reached.sum()}/{len(end.reached)}",
        fontsize="small",
        pad=3,
    )
    axis.set(xlim=(-11, 11), ylim=(-11, 11), aspect="equal")
    axis.tick_params(labelsize="x-small", length=2)


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D

    def mark(marker: str, label: str, **style: Any) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, label=label, **style)

    return [
        Line2D([], [], color="0.55", linewidth=4, label="Pareto front"),
        mark("o", "start", color="black", markersize=4),
        mark("*", "end on the front", color="black", markersize=8),
        mark("x", "end elsewhere", color=RED),
    ]
