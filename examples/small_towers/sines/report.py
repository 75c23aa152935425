"""The table and the figures of the runs in a folder."""

import dataclasses
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.runs import read_record
from examples.small_towers.sines import plan
from examples.small_towers.sines.train import DATA
from examples.small_towers.sines.train import TASKS
from examples.small_towers.sines.train import Config
from examples.small_towers.sines.train import mean_errors
from keras_mtl import pareto
from keras_mtl.utils.files import write_whole

# From a seed to the points of its front: a mean squared error for each task.
Fronts = dict[int, list[dict[str, float]]]
BEST, LAST = "best", "last"
NAMES = {False: "plain", True: "self-auxiliaries"}


class Results:
    """The finished runs of a folder, on one kind of data.

    Args:
        folder: Where the runs are kept.
        data: One of `DATA`.
    """

    def __init__(self, folder: pathlib.Path, data: str):
        self.data = data
        self.records = {}
        for path in sorted(folder.glob(f"{data}-*.json")):
            record = read_record(path)
            if record is not None and "result" in record:
                self.records[path.stem] = record

    def find(self, config: Config) -> dict[str, Any] | None:
        """The record of a run."""
        return self.records.get(config.name)

    def seeds(self) -> list[int]:
        """Those that any run has."""
        configs = (record["config"] for record in self.records.values())
        return sorted({config["seed"] for config in configs})

    def fronts(
        self,
        depth: int,
        heads: bool,
        width: int = 100,
        part: str = "test",
        which: str = BEST,
    ) -> Fronts:
        """The points of each seed whose front is complete."""
        try:
            config = plan.chosen(self.data, depth, heads, self.find)
        except LookupError:
            return {}
        config = dataclasses.replace(config, width=width)
        fronts = {}
        for seed in self.seeds():
            found = [self.find(one) for one in plan.front(config, seed)]
            if None not in found:
                fronts[seed] = [row["result"][which][part] for row in found]
        return fronts

    def singles(self) -> dict[str, float]:
        """The best test error of each task trained alone, by validation."""
        found = {}
        for task, alpha in (("y1", 1.0), ("y2", 0.0)):
            best = [
                record["result"][BEST]
                for record in self.records.values()
                if record["config"]["alpha"] == alpha
            ]
            if best:
                chosen = min(best, key=lambda row: row["validation"][task])
                found[task] = chosen["test"][task]
        return found


def write_report(folder: pathlib.Path) -> str:
    """Writes `results.md` and the figures of what is finished.

    Args:
        folder: Where the runs are kept.

    Returns:
        The tables, in Markdown.
    """
    texts = []
    for data in DATA:
        results = Results(folder, data)
        if not results.records:
            continue
        texts.append(tables(results))
        draw(results, folder)
    text = "\n\n".join(texts) + "\n"
    write_whole(folder / "results.md", text)
    return text


def tables(results: Results) -> str:
    """What the runs on one kind of data gave."""
    errors = mean_errors(results.data)
    mean = ", ".join(f"{errors[task]:.1f} ({task})" for task in TASKS)
    texts = [
        f"### Data: {results.data}",
        f"Test error of the mean, the reference of hypervolumes: {mean}.",
    ]
    singles = results.singles()
    if singles:
        alone = ", ".join(f"{singles[task]:.1f} ({task})" for task in singles)
        texts.append(f"Best single tasks: {alone}.")
    by_depth = [(depth, 100) for depth in plan.DEPTHS]
    by_width = [(plan.WIDE_DEPTH, width) for width in plan.WIDTHS]
    texts += _tables(results, "depth", by_depth, errors)
    texts += _tables(results, "width", by_width, errors)
    return "\n\n".join(texts)


def _tables(
    results: Results,
    column: str,
    shapes: Sequence[tuple[int, int]],
    errors: dict[str, float],
) -> Iterator[str]:
    rows = []
    for depth, width in shapes:
        row = _row(results, depth, width, errors)
        if row is not None:
            rows.append([str(width if column == "width" else depth), *row])
    if len(rows) < 2:
        return
    head = [
        column,
        *(f"hypervolume, {name}" for name in NAMES.values()),
        "gain",
        *(f"last epoch, {name}" for name in NAMES.values()),
        *(f"y1 / y2, {name}" for name in NAMES.values()),
        *(f"train y1 / y2, {name}" for name in NAMES.values()),
        "seeds",
    ]
    lines = [head, ["---:"] * len(head), *rows]
    yield "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(
    results: Results, depth: int, width: int, errors: dict[str, float]
) -> list[str] | None:
    """One depth and width: with and without self-auxiliaries."""
    both = [results.fronts(depth, heads, width) for heads in NAMES]
    last = [results.fronts(depth, h, width, which=LAST) for h in NAMES]
    train = [results.fronts(depth, h, width, "train", LAST) for h in NAMES]
    seeds = sorted(set(both[0]) & set(both[1]))
    if not seeds:
        return None
    volumes = [
        {seed: volume(fronts[seed], errors) for seed in seeds}
        for fronts in both
    ]
    return [
        *(_interval(fronts, seeds, errors) for fronts in both),
        _gain(*reversed(volumes)),
        *(f"{_mean_volume(fronts, seeds, errors):.2f}" for fronts in last),
        *(_middle(fronts, seeds) for fronts in (*both, *train)),
        str(len(seeds)),
    ]


def volume(points: list[dict[str, float]], errors: dict[str, float]) -> float:
    """Hypervolume in percent of what a front without errors would have."""
    found = pareto.hypervolume(
        points, errors, maximize=False, ignore_beyond=True
    )
    return 100 * found / (errors["y1"] * errors["y2"])


def _mean_volume(
    fronts: Fronts, seeds: list[int], errors: dict[str, float]
) -> float:
    return sum(volume(fronts[s], errors) for s in seeds) / len(seeds)


def _interval(
    fronts: Fronts, seeds: list[int], errors: dict[str, float]
) -> str:
    """A hypervolume in percent with its bootstrap interval over seeds."""
    if len(seeds) < 2:
        return f"{_mean_volume(fronts, seeds, errors):.2f}"
    interval = pareto.hypervolume_interval(
        {seed: fronts[seed] for seed in seeds},
        errors,
        maximize=False,
        ignore_beyond=True,
    )
    whole = errors["y1"] * errors["y2"] / 100
    return (
        f"{interval.estimate / whole:.2f} "
        f"[{interval.low / whole:.2f}, {interval.high / whole:.2f}]"
    )


def _gain(heads: dict[int, float], plain: dict[int, float]) -> str:
    """What self-auxiliaries add, seed by seed, with Student's interval."""
    if len(heads) < 2:
        return f"{heads[min(heads)] - plain[min(plain)]:+.2f}"
    interval = pareto.confidence_interval(heads, plain)
    return (
        f"{interval.estimate:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
    )


def _middle(fronts: Fronts, seeds: list[int]) -> str:
    """Mean errors where both losses weigh the same."""
    points = [fronts[seed][plan.ALPHAS.index(0.5)] for seed in seeds]
    return " / ".join(
        f"{sum(point[task] for point in points) / len(points):.1f}"
        for task in TASKS
    )


def draw(results: Results, folder: pathlib.Path) -> None:
    """The paper's figures 2 and 9, of what is finished."""
    for number, column, shapes in (
        ("2", "depth", [(depth, 100) for depth in plan.DEPTHS]),
        ("9", "width", [(plan.WIDE_DEPTH, width) for width in plan.WIDTHS]),
    ):
        fronts = {
            (depth, width): [
                mean_front(results.fronts(depth, heads, width))
                for heads in NAMES
            ]
            for depth, width in shapes
        }
        fronts = {shape: both for shape, both in fronts.items() if all(both)}
        if len(fronts) > 1:
            path = folder / f"figure-{number}-{results.data}.png"
            draw_fronts(fronts, column, results.singles(), path)


def mean_front(fronts: Fronts) -> list[dict[str, float]]:
    """The mean over the seeds, for each weight of the losses."""
    return [
        {
            task: sum(point[task] for point in points) / len(points)
            for task in TASKS
        }
        for points in zip(*fronts.values(), strict=True)
    ]


def draw_fronts(
    fronts: dict[tuple[int, int], list[list[dict[str, float]]]],
    column: str,
    singles: dict[str, float],
    path: pathlib.Path,
) -> None:
    """Fronts without self-auxiliaries; then with them, small and large.

    Args:
        fronts: From depth and width to the points without and with
            self-auxiliaries.
        column: `"depth"` or `"width"`, which varies.
        singles: Errors of single tasks, drawn as lines.
        path: Where to.
    """
    figure, axes = new_figure(3, (13.5, 4.4))
    shapes = list(fronts)
    place = 1 if column == "width" else 0
    for shape, style in zip(shapes, styles(len(shapes)), strict=True):
        _draw(axes[0], fronts[shape][0], f"{column} {shape[place]}", style)
    axes[0].set_title(f"(a) Without self-auxiliaries, by {column}")
    colors = styles(3)
    panels = {"b": shapes[0], "c": shapes[-1]}
    if column == "depth":
        # The smallest that still has hidden layers, as far as there is one.
        panels["b"] = shapes[min(1, len(shapes) - 1)]
    for axis, (letter, shape) in zip(axes[1:], panels.items(), strict=True):
        for points, name, style in zip(
            fronts[shape], NAMES.values(), colors[1:], strict=True
        ):
            _draw(axis, points, name, style)
        axis.set_title(f"({letter}) {column.capitalize()} {shape[place]}")
    for axis in axes:
        _draw_singles(axis, singles)
        axis.set(xlabel="test error of y1", ylabel="test error of y2")
        axis.grid(color="0.9")
        axis.set_axisbelow(True)
        axis.legend(fontsize=8)
    save_figure(figure, path)


def _draw(
    axis: Any, points: list[dict[str, float]], label: str, style: dict[str, str]
) -> None:
    x, y = ([point[task] for point in points] for task in TASKS)
    axis.plot(x, y, label=label, linewidth=1.4, markersize=5, **style)


def _draw_singles(axis: Any, singles: dict[str, float]) -> None:
    line = {"color": "0.4", "linestyle": "--", "linewidth": 1}
    if "y1" in singles:
        axis.axvline(singles["y1"], label="best single task", **line)
    if "y2" in singles:
        axis.axhline(singles["y2"], **line)
