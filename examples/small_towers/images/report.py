"""Tables and figures of the finished runs."""

import dataclasses
import pathlib
from collections.abc import Iterable

import numpy as np

from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.multi_mnist.methods import SINGLE
from examples.multi_mnist.model import TASKS
from examples.multi_mnist.paper import PAPER
from examples.multi_mnist.results import TITLES
from examples.planned_runs import finder
from examples.small_towers.images import plan
from examples.small_towers.images.train import Config
from examples.tables import signed
from examples.tables import spread
from keras_mtl.pareto import confidence_interval
from keras_mtl.utils.files import write_whole

# Accuracy of each task, by seed.
Seeds = dict[int, dict[str, float]]
NAMES = {"pta_f2": "PTA-F, 2 copies", "mgda_ub": "MGDA-UB"}


def write_report(folder: pathlib.Path, bases: Iterable[Config]) -> str:
    """Writes `results.md` and the figures of all finished runs.

    Args:
        folder: Where the runs are.
        bases: What the runs of each source have in common.

    Returns:
        The text.
    """
    sections = []
    for base in bases:
        finished = Finished(folder, base)
        if not finished.methods():
            sections.append(f"{TITLES[base.source]}: tuning is not finished.")
            continue
        sections += [method_table(finished), gap_table(finished)]
        sections += [ablation_table(finished, name) for name in plan.ABLATIONS]
        plot_methods(finished, folder / f"methods-{base.source}.png")
        plot_gaps(finished, folder / f"gaps-{base.source}.png")
    text = "\n\n".join(sections) + "\n"
    write_whole(folder / "results.md", text)
    return text


class Finished:
    """The finished runs of a source, at the settings that were chosen.

    Args:
        folder: Where the runs are.
        base: What they have in common.
    """

    def __init__(self, folder: pathlib.Path, base: Config):
        self.base = base
        self.find = finder(folder)
        found = {m: plan.chosen(m, base, self.find) for m in plan.METHODS}
        self.chosen = {m: config for m, config in found.items() if config}

    def methods(self) -> list[str]:
        """Those that are tuned, the two networks of single tasks as one."""
        names = [m for m in plan.METHODS if m in self.chosen]
        singles = all(name in names for name in SINGLE)
        others = [name for name in names if name not in SINGLE]
        return ["single", *others] if singles else others

    def accuracies(
        self, method: str, part: str, size: str = "large", times: int = 1
    ) -> Seeds:
        """Accuracies in percent.

        Args:
            method: Its name; `"single"` for both networks of single tasks.
            part: `"train"`, `"validation"` or `"test"`.
            size: Of the network.
            times: How many times the epochs of tuning.
        """
        if method == "single":
            sides = [self.accuracies(m, part, size, times) for m in SINGLE]
            common = sides[0].keys() & sides[1].keys()
            return {s: sides[0][s] | sides[1][s] for s in sorted(common)}
        found = {}
        for seed in plan.SEEDS if method in self.chosen else ():
            record = self.find(
                dataclasses.replace(
                    self.chosen[method],
                    size=size,
                    seed=seed,
                    epochs=times * self.base.epochs,
                )
            )
            if record is not None:
                values = record["result"][part]
                found[seed] = {t: 100 * v for t, v in values.items()}
        return found


def method_table(finished: Finished) -> str:
    """All methods on the large network, beside the paper's numbers."""
    base = finished.base
    first = finished.accuracies("sum", "test")
    lines = [
        f"### {TITLES[base.source]}, large network, {base.epochs} epochs",
        "",
        "| method | left | right | mean - sum | train left | train right "
        "| paper left | paper right | rate | weight, temperature | seeds |",
        "|---|" + "---:|" * 10,
    ]
    for method in finished.methods():
        test = finished.accuracies(method, "test")
        train = finished.accuracies(method, "train")
        paper = PAPER[base.source, "large"].get(method)
        cells = [
            NAMES.get(method, method),
            *(_spread(test, task) for task in TASKS),
            "" if method == "sum" else _gap(test, first, TASKS),
            *(_spread(train, task) for task in TASKS),
            *((f"{value:.2f}" for value in paper) if paper else ("", "")),
            *_settings(finished, method),
            str(len(test)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _settings(finished: Finished, method: str) -> tuple[str, str]:
    names = list(SINGLE) if method == "single" else [method]
    configs = [finished.chosen[name] for name in names]
    rates = ", ".join(f"{config.learning_rate:g}" for config in configs)
    config = configs[0]
    if config.weight is None:
        return rates, ""
    return rates, f"{config.weight:g}, {config.temperature:g}"


def settings_of_gaps() -> list[tuple[str, int]]:
    """Sizes, and times as many epochs, at which the gap is measured."""
    return [("large", 1), ("medium", 1), ("small", 1), ("large", plan.LONG)]


def gap_table(finished: Finished) -> str:
    """Self-auxiliaries minus the sum, by size and length of training."""
    base = finished.base
    lines = [
        f"### {TITLES[base.source]}: self-auxiliaries - sum",
        "",
        "| network | epochs | test left | test right | test mean "
        "| train mean | paper left | paper right | seeds |",
        "|---|" + "---:|" * 8,
    ]
    for size, times in settings_of_gaps():
        test, train = (
            [
                finished.accuracies(method, part, size, times)
                for method in ("self_auxiliary", "sum")
            ]
            for part in ("test", "train")
        )
        published = PAPER[base.source, size]
        paper = np.subtract(published["self_auxiliary"], published["sum"])
        cells = [
            size,
            str(times * base.epochs),
            *(_gap(*test, [task]) for task in TASKS),
            _gap(*test, TASKS),
            _gap(*train, TASKS),
            *(f"{value:+.2f}" for value in paper),
            str(len(test[0].keys() & test[1].keys())),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


ABLATIONS = {
    "single": "self-auxiliaries on one task, against none",
    "big_towers": "towers of full size, against self-auxiliaries",
    "bottleneck": "width of the heads, small network, against the sum",
}


def ablation_table(finished: Finished, name: str) -> str:
    """Runs of a stage, each against what it is to be compared with."""
    lines = [
        f"### {TITLES[finished.base.source]}: {ABLATIONS[name]}",
        "",
        "| network | method | test left | test right | difference | seeds |",
        "|---|---|---:|---:|---:|---:|",
    ]
    groups: dict[Config, Seeds] = {}
    for config in plan.ABLATIONS[name](finished.chosen):
        found = groups.setdefault(dataclasses.replace(config, seed=0), {})
        record = finished.find(config)
        if record is not None:
            values = record["result"]["test"]
            found[config.seed] = {t: 100 * v for t, v in values.items()}
    for config, found in groups.items():
        method = config.method.partition("+")[0]
        against = method
        if name != "single":
            against = "self_auxiliary" if name == "big_towers" else "sum"
        others = finished.accuracies(against, "test", config.size)
        tasks = [task for task in TASKS if found and task in found[min(found)]]
        width = config.bottleneck
        label = config.method if width is None else f"bottleneck {width}"
        cells = [
            config.size,
            "no bottleneck" if width == 0 else label,
            *(_spread(found, t) if t in tasks else "" for t in TASKS),
            _gap(found, others, tasks) if tasks else "",
            str(len(found)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(seeds: Seeds, task: str) -> str:
    return spread([row[task] for row in seeds.values()])


def gaps(values: Seeds, others: Seeds, tasks: Iterable[str]) -> list[float]:
    """Differences of the mean over some tasks, one a common seed."""
    tasks = list(tasks)
    return [
        float(np.mean([values[s][t] - others[s][t] for t in tasks]))
        for s in sorted(values.keys() & others.keys())
    ]


def _gap(values: Seeds, others: Seeds, tasks: Iterable[str]) -> str:
    found = gaps(values, others, tasks)
    if len(found) < 2:
        return f"{found[0]:+.2f}" if found else ""
    return signed(confidence_interval(found))


def plot_methods(finished: Finished, path: pathlib.Path) -> None:
    """Test accuracy of both tasks, a mark a seed."""
    figure, (axis,) = new_figure(1, (6.4, 5.2))
    methods = finished.methods()
    for method, style in zip(methods, styles(len(methods)), strict=True):
        rows = finished.accuracies(method, "test").values()
        points = np.array([[row[task] for task in TASKS] for row in rows])
        axis.scatter(
            *points.T, s=55, label=NAMES.get(method, method), zorder=3, **style
        )
    base = finished.base
    axis.set(
        title=f"{TITLES[base.source]}, large network, {base.epochs} epochs",
        xlabel="test accuracy, left (%)",
        ylabel="test accuracy, right (%)",
    )
    axis.margins(0.1)
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small", title="up and right is better")
    save_figure(figure, path)


def plot_gaps(finished: Finished, path: pathlib.Path) -> None:
    """The gap on training and on test data, a mark a seed."""
    figure, (axis,) = new_figure(1, (7.0, 4.2))
    shown = settings_of_gaps()
    parts = ("train", "test")
    for place, (part, style) in enumerate(
        zip(parts, styles(3)[1:], strict=True)
    ):
        for row, (size, times) in enumerate(shown):
            found = gaps(
                finished.accuracies("self_auxiliary", part, size, times),
                finished.accuracies("sum", part, size, times),
                TASKS,
            )
            axis.scatter(
                found,
                np.full(len(found), row + 0.2 * place - 0.1),
                label=f"{part} data" if row == 0 else None,
                zorder=3,
                **style,
            )
    epochs = finished.base.epochs
    axis.axvline(0, color="0.5", linewidth=1)
    axis.set(
        title=f"{TITLES[finished.base.source]}: self-auxiliaries - sum",
        xlabel="difference of mean accuracy (points), a mark a seed",
        yticks=range(len(shown)),
        yticklabels=[f"{s}, {t * epochs} epochs" for s, t in shown],
        ylim=(len(shown) - 0.5, -0.5),
    )
    axis.grid(alpha=0.3, axis="x")
    axis.legend(fontsize="small")
    save_figure(figure, path)
