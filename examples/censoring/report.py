"""Draws the figures of the paper from the results of the experiments.

Writes a table of every setting (`<experiment>.md`) and figures into
--output_dir, with the paper's own points beside ours. Reports whatever is
there: sweeps may still be running.

  python -m examples.censoring.report
"""

import math
import os
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from absl import app

from examples.censoring import adaptive
from examples.censoring import methods
from examples.censoring import program
from examples.censoring import published
from examples.censoring import sweep
from examples.censoring.methods import Setting
from examples.censoring.statistics import Summary
from examples.censoring.statistics import permutation_p_value
from examples.censoring.statistics import summarize
from examples.figures import save_figure
from examples.figures import styles
from keras_mtl.utils.files import write_whole

# A curve: (method, granularity, smoothing); a panel: the auxiliary task.
Key = tuple[str, str, float]
Results = dict[Key, dict[str, dict[float, dict[int, float]]]]
Points = Mapping[Key, Mapping[str, Sequence[float | None]]]


class Experiment(NamedTuple):
    """What is measured, and how it is shown.

    Attributes:
        name: Of its table and its figures.
        measure: What a row holds.
        label: Of the axis.
        title: Of the figures.
        smaller_is_better: Whether the measure is a loss.
        points: What the paper reports.
        weights: Of its points.
        granularity: Of the main figure.
        results: Name of the file with its runs, if not `name`.
    """

    name: str
    measure: str
    label: str
    title: str
    smaller_is_better: bool
    points: Points
    weights: Sequence[float]
    granularity: str
    results: str = ""


EXPERIMENTS = (
    Experiment(
        "celeba",
        "test_auc",
        "test AUC",
        "CelebA",
        False,
        published.CELEBA,
        (300.0, 1000.0, 3000.0, 10000.0, 30000.0),
        "variable",
    ),
    Experiment(
        "celeba_stand_in",
        "test_auc",
        "test AUC on drawings",
        "stand-in for CelebA",
        False,
        {},  # nothing is published on drawings
        (300.0, 1000.0, 3000.0, 10000.0, 30000.0),
        "variable",
    ),
    Experiment(
        "regression",
        "test_loss",
        "test mean squared error",
        "synthetic regression",
        True,
        published.REGRESSION,
        (0.1, 0.3, 1.0, 3.0, 10.0),
        "model",
    ),
    Experiment(
        "regression_hasty",
        "test_loss",
        "test mean squared error",
        "synthetic regression, hasty Adam",
        True,
        published.REGRESSION,
        (0.1, 0.3, 1.0, 3.0, 10.0),
        "model",
    ),
    Experiment(
        "imdb",
        "test_loss",
        "test cross-entropy",
        "IMDB, censored weight decay",
        True,
        published.IMDB,
        (1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
        "variable",
    ),
    Experiment(
        "conll",
        "last_batch_accuracy",
        "test accuracy, last 1,280 words",
        "CoNLL-2003, chunks",
        False,
        published.CONLL,
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
        "variable",
    ),
    Experiment(
        "conll_all_words",
        "test_accuracy",
        "test accuracy, all words",
        "CoNLL-2003, chunks, all words",
        False,
        {},  # the paper has the last words only
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
        "variable",
        results="conll",
    ),
)
LABELS = {
    methods.SINGLE: "single task",
    methods.MULTI: "multi-task",
    "projection": "projection",
    "unweighted_cosine": "unweighted cosine",
    "weighted_cosine": "weighted cosine",
    "orthogonal": "orthogonal",
}
MAIN_NAMES = (methods.SINGLE, methods.MULTI, "projection")
OTHER_RULES = set(LABELS) - set(MAIN_NAMES)
CENSORED = {"model": "whole vector", "variable": "variable by variable"}
LOOKS = dict(zip(LABELS, styles(len(LABELS)), strict=True))


def load(rows: Sequence[dict[str, Any]], measure: str) -> Results:
    """Results by curve, panel, weight and seed."""
    results: Results = {}
    for row in rows:
        setting = Setting(**row["config"]["setting"])
        key = (setting.method, setting.granularity, setting.smoothing)
        panel = row["config"].get("task", "")
        runs = results.setdefault(key, {}).setdefault(panel, {})
        seed = row["config"]["seed"]
        runs.setdefault(setting.weight, {})[seed] = row[measure]
    return results


def table(experiment: Experiment, results: Results) -> str:
    """All settings: runs, mean, standard error, and the paper's number."""
    lines = [
        "| method | granularity | smoothing | auxiliary task | weight | runs |"
        f" {experiment.label} | paper | difference |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for key, panels in sorted(results.items(), key=_order):
        method, granularity, smoothing = key
        for panel, runs in panels.items():
            for weight, seeds in sorted(runs.items()):
                found = summarize(list(seeds.values()))
                paper = published_point(experiment, key, panel, weight)
                known = paper is not None
                lines.append(
                    f"| {LABELS[method]} | {granularity} | {smoothing:g} | "
                    f"{panel} | {weight:g} | {found.count} | {found} | "
                    f"{f'{paper:.4f}' if known else ''} | "
                    f"{f'{found.mean - paper:+.4f}' if known else ''} |"
                )
    return "\n".join(lines)


def published_point(
    experiment: Experiment, key: Key, panel: str, weight: float
) -> float | None:
    """The paper's number for a setting, if it is at hand."""
    points = experiment.points.get(key, {}).get(panel)
    if points is None:
        return None
    if len(points) == 1:
        return points[0]
    if weight not in experiment.weights:
        return None
    return points[list(experiment.weights).index(weight)]


def agreement(experiment: Experiment, results: Results) -> str:
    """How many means of three runs or more are near the paper's, in words.

    Empty where the paper has none of them.
    """
    near = known = 0
    for key, panels in results.items():
        for panel, runs in panels.items():
            for weight, seeds in runs.items():
                paper = published_point(experiment, key, panel, weight)
                found = summarize(list(seeds.values()))
                if paper is None or found.count < 3:
                    continue
                known += 1
                near += abs(found.mean - paper) <= 2 * found.error
    if not known:
        return ""
    return (
        f"Within two of our standard errors of the paper's mean: {near} of "
        f"{known} settings."
    )


def best(
    experiment: Experiment, runs: Mapping[float, Mapping[int, float]]
) -> tuple[float, dict[int, float]]:
    """The weight with the best mean, and its runs by seed."""
    sign = 1 if experiment.smaller_is_better else -1
    means = {w: summarize(list(s.values())).mean for w, s in runs.items()}
    # Runs that diverged have no mean, and are not the best.
    weight = min(means, key=lambda w: (math.isnan(means[w]), sign * means[w]))
    return weight, dict(runs[weight])


def peaks(experiment: Experiment, results: Results) -> str:
    """Each curve at its best weight, and whether it beats multi-task there.

    As in the paper: the weight is that of the best mean on the test part, for
    multi-task too, so that a small advantage of every curve is chance.
    """
    lines = [
        "| method | granularity | smoothing | auxiliary task | best weight |"
        f" {experiment.label} | p against multi-task |",
        "|---|---|---:|---|---:|---:|---:|",
    ]
    for key, panels in sorted(results.items(), key=_order):
        for panel, runs in panels.items():
            weight, seeds = best(experiment, runs)
            found = summarize(list(seeds.values()))
            p_value = ""
            if key[0] != methods.MULTI:
                p_value = _p_value(experiment, results, panel, seeds)
            lines.append(
                f"| {LABELS[key[0]]} | {key[1]} | {key[2]:g} | {panel} | "
                f"{weight:g} | {found} | {p_value} |"
            )
    return "\n".join(lines)


def _p_value(
    experiment: Experiment, results: Results, panel: str, seeds: dict
) -> str:
    multi = results.get((methods.MULTI, "model", 1.0), {}).get(panel)
    if multi is None or len(seeds) < 3:
        return ""
    ours, theirs = (
        list(seeds.values()),
        list(best(experiment, multi)[1].values()),
    )
    if not experiment.smaller_is_better:
        ours, theirs = theirs, ours
    return f"{permutation_p_value(ours, theirs):.2g}"


def plot_sweep(
    experiment: Experiment,
    results: Results,
    names: Sequence[str],
    granularity: str,
    path: str | os.PathLike,
) -> None:
    """One row a smoothing, one column an auxiliary task, a line a method.

    Bands are 95 % confidence intervals, hollow markers the paper's points.
    """
    smoothings = shown_smoothings(results, names, granularity)
    panels = list(
        dict.fromkeys(p for runs in results.values() for p in runs if p)
    ) or [""]
    figure, grid = _grid(len(smoothings), len(panels))
    for axes, smoothing in zip(grid, smoothings, strict=True):
        for axis, panel in zip(axes, panels, strict=True):
            for name in names:
                _draw_method(
                    axis,
                    experiment,
                    results,
                    name,
                    granularity,
                    smoothing,
                    panel,
                )
            _finish(axis, experiment, smoothing, panel)
    shown: dict[str, Any] = {}
    for axis in grid.flat:
        handles, labels = axis.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(
        shown.values(),
        shown,
        loc="outside lower center",
        ncols=4,
        fontsize="small",
    )
    paper = "; hollow, the paper" if experiment.points else ""
    figure.suptitle(
        f"{experiment.title}, {CENSORED[granularity]}\n"
        f"line, mean and 95 % interval{paper}",
        fontsize="medium",
    )
    save_figure(figure, path)


def shown_smoothings(
    results: Results, names: Sequence[str], granularity: str
) -> list[float]:
    """The rows of a figure: smoothings of the rules that it is about.

    A figure of all rules is about those that the main one does not show.
    """
    rules = OTHER_RULES.intersection(names) or {"projection"}
    found = {k[2] for k in results if k[0] in rules and k[1] == granularity}
    return sorted(found, reverse=True) or [1.0]


def _grid(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    size = (1.2 + 2.9 * columns, 1.0 + 2.4 * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        rows, columns, squeeze=False, sharex=True, sharey="col"
    )
    return figure, grid


def _draw_method(
    axis: Any,
    experiment: Experiment,
    results: Results,
    name: str,
    granularity: str,
    smoothing: float,
    panel: str,
) -> None:
    key = (name, granularity, smoothing)
    if name not in methods.RULES:
        key = (name, "model", 1.0)
    panels = results.get(key, {})
    runs = panels.get(panel) or panels.get("")
    if not runs:
        return
    weights = sorted(runs)
    found = [summarize(list(runs[w].values())) for w in weights]
    if name == methods.SINGLE:
        weights = _weights(experiment, results)
        found = found * len(weights)
    _draw_band(axis, weights, found, LABELS[name], LOOKS[name])
    points = [
        (
            w,
            published_point(experiment, key, panel, w)
            or published_point(experiment, key, "", w),
        )
        for w in weights
    ]
    points = [(w, p) for w, p in points if p is not None]
    if points:
        axis.plot(
            *zip(*points, strict=True),
            linestyle=":" if name == methods.SINGLE else "",
            marker="" if name == methods.SINGLE else LOOKS[name]["marker"],
            color=LOOKS[name]["color"],
            markerfacecolor="none",
            markersize=8,
        )


def _weights(experiment: Experiment, results: Results) -> list[float]:
    """The weights that a curve has; those of the paper if none has any."""
    found = {
        weight
        for panels in results.values()
        for runs in panels.values()
        for weight in runs
        if weight  # a single task has none
    }
    return sorted(found) or list(experiment.weights)


def _draw_band(
    axis: Any,
    weights: Sequence[float],
    found: Sequence[Summary],
    label: str,
    look: Mapping[str, str],
) -> None:
    means = [summary.mean for summary in found]
    # An interval of two runs says little, and is wide enough to hide others.
    low, high = (
        [getattr(s, end) if s.count > 2 else s.mean for s in found]
        for end in ("low", "high")
    )
    axis.fill_between(weights, low, high, color=look["color"], alpha=0.15, lw=0)
    axis.plot(weights, means, label=label, markersize=4, linewidth=1.4, **look)


def _finish(
    axis: Any, experiment: Experiment, smoothing: float, panel: str
) -> None:
    axis.set_xscale("log")
    axis.grid(alpha=0.3)
    parts = [f"{panel} task" if panel else "", f"smoothing {smoothing:g}"]
    axis.set_title(", ".join(p for p in parts if p), fontsize="small")
    spec = axis.get_subplotspec()
    if spec.is_last_row():
        axis.set_xlabel("auxiliary weight λ")
    if spec.is_first_col():
        axis.set_ylabel(experiment.label)


def _order(item: tuple[Key, Any]) -> tuple:
    (method, granularity, smoothing), _ = item
    return list(LABELS).index(method), granularity, -smoothing


def write_report(experiment: Experiment, folder: pathlib.Path) -> str | None:
    """Tables and figures of one experiment; `None` if it has no results."""
    name = experiment.results or experiment.name
    rows = sweep.read(folder / f"{name}.jsonl")
    if not rows:
        return None
    results = load(rows, experiment.measure)
    parts = (
        peaks(experiment, results),
        agreement(experiment, results),
        table(experiment, results),
    )
    text = "\n\n".join(filter(None, parts)) + "\n"
    write_whole(folder / f"{experiment.name}.md", text)
    for granularity in methods.GRANULARITIES:
        found = {k[0] for k in results if k[1] == granularity}
        is_main = granularity == experiment.granularity
        if is_main or "projection" in found:
            suffix = "" if is_main else f"-{granularity}"
            path = folder / f"{experiment.name}{suffix}.png"
            plot_sweep(experiment, results, MAIN_NAMES, granularity, path)
        if found & OTHER_RULES:
            path = folder / f"{experiment.name}-all-{granularity}.png"
            plot_sweep(experiment, results, methods.NAMES, granularity, path)
    return text


def main(argv: list[str]) -> None:
    program.check_arguments(argv)
    print(report(program.FLAGS.output_dir))


def report(output_dir: str | os.PathLike) -> str:
    """Writes tables and figures of all experiments that have results.

    Returns:
        The tables, in Markdown.

    Raises:
        app.UsageError: If there is nothing to report.
    """
    folder = pathlib.Path(output_dir)
    found = {e.title: write_report(e, folder) for e in EXPERIMENTS}
    if (folder / "adaptive.jsonl").exists():
        found["synthetic regression, adaptive weights"] = adaptive.report(
            folder
        )
    texts = [f"## {title}\n\n{text}" for title, text in found.items() if text]
    if not texts:
        raise app.UsageError(
            f"--output_dir: {folder} holds no results. Run an experiment "
            "first, as `python -m examples.censoring.regression`."
        )
    shown = {"adaptive", *(e.name for e in EXPERIMENTS)}
    left_out = sorted(
        p.name for p in folder.glob("*.jsonl") if p.stem not in shown
    )
    if left_out:
        texts.append(f"Not shown: {', '.join(left_out)}")
    return "\n".join(texts)


if __name__ == "__main__":
    program.define_output_dir()
    app.run(main)
