"""The table and the figures of the runs in a folder."""

import dataclasses
import json
import pathlib
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
from examples.small_towers.sines.train import noise_errors
from examples.tables import signed
from keras_mtl import pareto
from keras_mtl.utils.files import write_whole

# From a seed to the points of its front: a mean squared error for each task.
Fronts = dict[int, list[dict[str, float]]]
BEST, LAST = "best", "last"
NAMES = {False: "plain", True: "self-auxiliaries"}
# What varies, as pairs of depth and width, and where in the pair it is.
SHAPES = {
    "depth": [(depth, 100) for depth in plan.DEPTHS],
    "width": [(plan.WIDE_DEPTH, width) for width in plan.WIDTHS],
}
PLACES = {"depth": 0, "width": 1}
FIGURES = {"depth": "figure-2", "width": "figure-9"}
SINGLE = {"color": "0.4", "linestyle": "--", "linewidth": 1}
HYPERVOLUMES = [
    *(f"hypervolume (%), {name}" for name in NAMES.values()),
    "gain",
    "plain, at the rate of self-auxiliaries",
    *(f"last epoch, {name}" for name in NAMES.values()),
    "seeds",
]
ERRORS = [
    "rate, plain",
    "rate, weight of self-auxiliaries",
    *(f"train, {name}" for name in NAMES.values()),
    *(f"test, {name}" for name in NAMES.values()),
]


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
        return self.fronts_of(config, part, which)

    def same_rate(self, depth: int) -> Fronts:
        """Those without self-auxiliaries at the rate of those with them."""
        return self.fronts_of(plan.same_rate(self.data, depth, self.find))

    def fronts_of(
        self, config: Config, part: str = "test", which: str = BEST
    ) -> Fronts:
        """The points of each seed whose front is complete."""
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
    """Writes tables and figures of what is finished.

    They are `results.md`, `runs.jsonl` with the last errors of each run, and
    the paper's figures 2 and 9.

    Args:
        folder: Where the runs are kept.

    Returns:
        The tables, in Markdown.
    """
    every = [Results(folder, data) for data in DATA]
    every = [results for results in every if results.records]
    texts = []
    for results in every:
        texts.append(tables(results))
        draw(results, folder)
    write_runs(every, folder / "runs.jsonl")
    text = "\n\n".join(texts) + "\n"
    write_whole(folder / "results.md", text)
    return text


def write_runs(every: list[Results], path: pathlib.Path) -> None:
    """Writes what all runs came to into one file of JSON lines."""
    rows = [
        json.dumps({"config": record["config"], **record["result"]["last"]})
        for results in every
        for record in results.records.values()
    ]
    write_whole(path, "\n".join(rows) + "\n")


def tables(results: Results) -> str:
    """What the runs on one kind of data gave."""
    errors = mean_errors(results.data)
    texts = [
        f"### Data: {results.data}",
        "Test errors (y1 / y2) of the mean, the reference of hypervolumes: "
        f"{_pair(errors)}. Of the functions without their noise: "
        f"{_pair(noise_errors(results.data))}.",
    ]
    singles = results.singles()
    if len(singles) == len(TASKS):
        texts.append(f"Best single tasks: {_pair(singles)}.")
    for column, shapes in SHAPES.items():
        rows = [
            _row(results, column, depth, width, errors)
            for depth, width in shapes
        ]
        for part, head in enumerate((HYPERVOLUMES, ERRORS)):
            lines = [row[part] for row in rows if row is not None]
            if len(lines) > 1:
                texts.append(_markdown([column, *head], lines))
    return "\n\n".join(texts)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(
    results: Results,
    column: str,
    depth: int,
    width: int,
    errors: dict[str, float],
) -> tuple[list[str], list[str]] | None:
    """The lines of one depth and width in both tables."""
    both = [results.fronts(depth, heads, width) for heads in NAMES]
    seeds = sorted(set(both[0]) & set(both[1]))
    if not seeds:
        return None
    last = [results.fronts(depth, h, width, which=LAST) for h in NAMES]
    train = [results.fronts(depth, h, width, "train", LAST) for h in NAMES]
    volumes = [
        {seed: volume(fronts[seed], errors) for seed in seeds}
        for fronts in both
    ]
    name = str(width if column == "width" else depth)
    return [
        name,
        *(_interval(fronts, seeds, errors) for fronts in both),
        _gain(*reversed(volumes)),
        _same_rate(results, depth, errors) if column == "depth" else "",
        *(f"{_mean_volume(fronts, seeds, errors):.2f}" for fronts in last),
        str(len(seeds)),
    ], [
        name,
        *(_setting(results, depth, heads) for heads in NAMES),
        *(_middle(fronts, seeds) for fronts in (*train, *last)),
    ]


def _same_rate(results: Results, depth: int, errors: dict[str, float]) -> str:
    fronts = results.same_rate(depth)
    return _interval(fronts, sorted(fronts), errors) if fronts else ""


def _setting(results: Results, depth: int, heads: bool) -> str:
    """The learning rate that validation chose, and the weight of the heads."""
    config = plan.chosen(results.data, depth, heads, results.find)
    gamma = "" if config.gamma is None else f", {config.gamma:g}"
    return f"{config.learning_rate:g}{gamma}"


def _pair(errors: dict[str, float]) -> str:
    return " / ".join(f"{errors[task]:.1f}" for task in TASKS)


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
    return signed(pareto.confidence_interval(heads, plain))


def _middle(fronts: Fronts, seeds: list[int]) -> str:
    """Mean errors where both losses weigh the same."""
    front = mean_front({seed: fronts[seed] for seed in seeds})
    return _pair(front[plan.ALPHAS.index(0.5)])


def draw(results: Results, folder: pathlib.Path) -> None:
    """The paper's figures 2 and 9, of what is finished, and hypervolumes."""
    for column, shapes in SHAPES.items():
        every = {
            (depth, width): [
                results.fronts(depth, heads, width) for heads in NAMES
            ]
            for depth, width in shapes
        }
        fronts = {shape: both for shape, both in every.items() if all(both)}
        if len(fronts) > 1:
            name = f"{FIGURES[column]}-{results.data}.png"
            draw_fronts(fronts, column, results.singles(), folder / name)
            name = f"hypervolumes-by-{column}-{results.data}.png"
            errors = mean_errors(results.data)
            draw_volumes(fronts, column, errors, folder / name)


def draw_volumes(
    fronts: dict[tuple[int, int], list[Fronts]],
    column: str,
    errors: dict[str, float],
    path: pathlib.Path,
) -> None:
    """Hypervolumes of each seed, and a line through their means.

    Args:
        fronts: As for `draw_fronts`.
        column: As for `draw_fronts`.
        errors: The reference.
        path: Where to.
    """
    figure, (axis,) = new_figure(1, (5.4, 4))
    names = [str(shape[PLACES[column]]) for shape in fronts]
    for heads, (name, style) in enumerate(
        zip(NAMES.values(), styles(3)[1:], strict=True)
    ):
        volumes = [
            [volume(points, errors) for points in both[heads].values()]
            for both in fronts.values()
        ]
        axis.plot(
            names,
            [sum(found) / len(found) for found in volumes],
            label=name,
            **style,
        )
        for place, found in zip(names, volumes, strict=True):
            axis.plot(
                [place] * len(found),
                found,
                linestyle="",
                marker="_",
                color=style["color"],
            )
    label = "hidden layers of a tower" if column == "depth" else "width"
    axis.set(xlabel=label, ylabel="hypervolume (%)")
    axis.grid(color="0.9")
    axis.set_axisbelow(True)
    axis.legend()
    save_figure(figure, path)


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
    fronts: dict[tuple[int, int], list[Fronts]],
    column: str,
    singles: dict[str, float],
    path: pathlib.Path,
) -> None:
    """Fronts without self-auxiliaries; then with them, small and large.

    Args:
        fronts: From depth and width to the fronts without and with
            self-auxiliaries; their means over the seeds are drawn.
        column: `"depth"` or `"width"`, which varies.
        singles: Errors of single tasks, drawn as lines where there is room.
        path: Where to.
    """
    figure, axes = new_figure(3, (13.5, 4.4))
    shapes = list(fronts)
    names = {shape: f"{column} {shape[PLACES[column]]}" for shape in shapes}
    # The smallest with hidden layers, and the largest.
    small = next((shape for shape in shapes if shape[0]), shapes[0])
    large = shapes[-1]
    panels = {
        f"(a) Plain, by {column}": {
            names[shape]: mean_front(both[0]) for shape, both in fronts.items()
        },
        **{
            f"({letter}) {names[shape].capitalize()}": {
                name: mean_front(front)
                for name, front in zip(
                    NAMES.values(), fronts[shape], strict=True
                )
            }
            for letter, shape in (("b", small), ("c", large))
        },
    }
    for axis, (title, points) in zip(axes, panels.items(), strict=True):
        pareto.plot_front(points, maximize=False, axes=axis)
        # What is learnt of a task alone may be so little that a line there
        # would leave the fronts no room.
        axis.autoscale(False)
        axis.axvline(singles.get("y1", 0), **SINGLE)
        axis.axhline(singles.get("y2", 0), **SINGLE)
        axis.set_title(title)
        axis.set(xlabel="test error of y1", ylabel="test error of y2")
    save_figure(figure, path)
