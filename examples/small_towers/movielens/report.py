"""The tables and figures of what a folder holds."""

import json
import pathlib
from typing import Any

import numpy as np

import keras_mtl
from examples.figures import STYLES
from examples.figures import new_figure
from examples.figures import save_figure
from examples.runs import read_record
from examples.small_towers.movielens import plan
from examples.small_towers.movielens.config import Config
from examples.small_towers.movielens.model import SINGLE
from examples.small_towers.movielens.model import UNITS
from keras_mtl.utils.files import write_whole

# Of Table 3: watch error rate, and rating error divided by all examples.
PAPER = {
    plan.SUM: (0.172, 0.387),
    "uncertainty": (0.165, 0.399),
    "mgda_ub": (0.168, 0.385),
    "pcgrad": (0.167, 0.397),
    "self_auxiliary": (0.168, 0.385),
    plan.POOLED: (0.161, 0.377),
}
METRICS = {
    "watch_error": "watch, error rate",
    "rating_mse_all": "rating, squared error / all examples",
    "rating_mse": "rating, squared error / watched",
}
FRONT = ("watch_error", "rating_mse_all")
SETTINGS = {
    "learning_rate": "lr",
    "weight": "γ",
    "pool_size": "pool",
    "copies": "copies",
}
Records = list[dict[str, Any]]


def write_report(folder: pathlib.Path, base: Config) -> str:
    """Writes `results.md`, `runs.json` and figures of the finished runs.

    Args:
        folder: The folder with the JSON files of `train`.
        base: Says of which data, optimizer and so on.

    Returns:
        The tables, in Markdown.

    Raises:
        FileNotFoundError: There is no such run.
    """
    runs = load_runs(folder, base)
    if not runs:
        raise FileNotFoundError(
            f"`output_dir` holds no finished run. Received: {folder}"
        )
    find = _finder(runs)
    parts = [(methods_table, None), (pool_table, plot_pool)]
    parts.append((front_table, plot_front))
    sections = []
    for table, plot in parts:
        text = table(base, find)
        sections += [text] if text else []
        if text and plot is not None:
            plot(base, find, folder)
    text = "\n\n".join(sections) + "\n"
    write_whole(folder / "results.md", text)
    write_whole(folder / "runs.json", _in_lines(runs))
    return text


def load_runs(folder: pathlib.Path, base: Config) -> Records:
    """Finished runs: `config`, `cpu_seconds` and `result` of each."""
    runs = []
    common = ("data", "optimizer", "schedule", "epochs", "batch_size")
    for path in sorted(folder.glob(f"{base.data}-*.json")):
        record = read_record(path)
        config = record["config"]
        is_one = all(config[key] == getattr(base, key) for key in common)
        if is_one and "result" in record:
            keys = ("config", "cpu_seconds", "result")
            runs.append({key: record[key] for key in keys})
    return runs


def _in_lines(runs: Records) -> str:
    """JSON with one run a line."""
    return "[\n" + ",\n".join(json.dumps(run) for run in runs) + "\n]\n"


def _finder(runs: Records) -> plan.Find:
    by_config = {Config(**run["config"]): run for run in runs}
    return by_config.get


def _seeds(config: Config | None, find: plan.Find) -> Records:
    """The finished runs of a setting, with the seeds that are reported."""
    if config is None:
        return []
    found = [find(plan.with_seed(config, seed)) for seed in plan.SEEDS]
    return [run for run in found if run is not None]


def values(runs: Records, metric: str, part: str = "test") -> np.ndarray:
    """One value a run."""
    return np.array([run["result"][part].get(metric, np.nan) for run in runs])


def spread(numbers: np.ndarray, digits: int = 4) -> str:
    """Mean, and half the range where there are several."""
    if not len(numbers) or np.isnan(numbers).any():
        return ""
    text = f"{np.mean(numbers):.{digits}f}"
    if len(numbers) < 2:
        return text
    return f"{text} ± {np.ptp(numbers) / 2:.{digits}f}"


def _row(*cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|---|" + "---:|" * (len(cells) - 1)]


# -- methods ------------------------------------------------------------------


def methods_table(base: Config, find: plan.Find) -> str:
    """Test errors of every method that is tuned, beside the paper's."""
    lines = []
    for method in plan.METHODS:
        config = plan.chosen(method, base, find)
        runs = _seeds(config, find)
        if not runs:
            continue
        errors = {name: values(runs, name) for name in METRICS}
        watch, rating = PAPER.get(method, ("", ""))
        gap = values(runs, "rating_mse") - values(runs, "rating_mse", "train")
        lines.append(
            _row(
                method,
                spread(errors["watch_error"]),
                watch,
                spread(errors["rating_mse_all"]),
                rating,
                spread(errors["rating_mse"]),
                spread(gap),
                _settings(config),
                len(runs),
                f"{np.median([run['cpu_seconds'] for run in runs]):.0f}",
            )
        )
    if not lines:
        return ""
    head = _head(
        "method",
        METRICS["watch_error"],
        "paper",
        METRICS["rating_mse_all"],
        "paper",
        METRICS["rating_mse"],
        "of it, more than in training",
        "chosen",
        "seeds",
        "CPU s",
    )
    return "\n".join(["### Test errors", "", *head, *lines])


def _settings(config: Config) -> str:
    found = {short: getattr(config, key) for key, short in SETTINGS.items()}
    return ", ".join(f"{k} {v:g}" for k, v in found.items() if v is not None)


# -- pool lengths -------------------------------------------------------------


def pool_sweep(base: Config, find: plan.Find) -> dict[int, Records]:
    """Runs of pooled self-auxiliaries by how many inputs a head has."""
    config = plan.chosen(plan.POOLED, base, find)
    if config is None:
        return {}
    sweep = _complete({"": list(plan.further("pool", config))}, find)
    found: dict[int, Records] = {}
    for run in sweep.get("", []):
        pool_size = run["config"]["pool_size"] or 1
        found.setdefault(UNITS // pool_size, []).append(run)
    return found


def _complete(
    configs: dict[str, list[Config]], find: plan.Find
) -> dict[str, Records]:
    """Runs of the seeds of which every run is finished.

    With others, points of a curve or front would be of different seeds.
    """
    every = [config for several in configs.values() for config in several]
    whole = [
        seed
        for seed in plan.SEEDS
        if all(find(plan.with_seed(c, seed)) is not None for c in every)
    ]
    if not whole:
        return {}
    return {
        name: [find(plan.with_seed(c, s)) for c in several for s in whole]
        for name, several in configs.items()
    }


def _of_same_seeds(
    method: str, runs: Records, base: Config, find: plan.Find
) -> Records:
    """The runs that are reported of a method, with the seeds of others."""
    seeds = {run["config"]["seed"] for run in runs}
    found = _seeds(plan.chosen(method, base, find), find)
    return [run for run in found if run["config"]["seed"] in seeds]


def pool_table(base: Config, find: plan.Find) -> str:
    """Test errors by pool length."""
    sweep = pool_sweep(base, find)
    if not sweep:
        return ""
    lines = _head("pool length", "inputs of a head", *METRICS.values(), "seeds")
    for inputs, runs in sweep.items():
        errors = [spread(values(runs, name)) for name in METRICS]
        lines.append(_row(UNITS // inputs, inputs, *errors, len(runs)))
    config = plan.chosen(plan.POOLED, base, find)
    setting = f"lr {config.learning_rate:g}, γ {config.weight:g}"
    return "\n".join([f"### Pool lengths ({setting})", "", *lines])


def plot_pool(base: Config, find: plan.Find, folder: pathlib.Path) -> None:
    """Figure 6b: test errors against the inputs of a head."""
    sweep = pool_sweep(base, find)
    plain = _of_same_seeds(plan.SUM, next(iter(sweep.values())), base, find)
    figure, axes = new_figure(2, (9, 3.6))
    for axis, metric in zip(axes, FRONT, strict=True):
        for runs, style, label in (
            (sweep, STYLES[2], "self-auxiliaries, pooled"),
            (dict.fromkeys(sweep, plain), STYLES[0], "sum"),
        ):
            if not all(runs.values()):
                continue
            points = {n: values(found, metric) for n, found in runs.items()}
            _draw_seeds(axis, points, style, label)
        axis.set_xscale("log")
        axis.set_xticks(list(sweep), list(sweep), minor=False)
        axis.minorticks_off()
        axis.set_xlabel("inputs of a self-auxiliary head")
        axis.set_ylabel(f"test: {METRICS[metric]}", fontsize="small")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    save_figure(figure, folder / "pool.png")


def _draw_seeds(
    axis: Any, points: dict[Any, np.ndarray], style: dict, label: str
) -> None:
    """A line through the means, and a bar over the range."""
    means = [np.mean(found) for found in points.values()]
    lines = axis.plot(
        list(points), means, markersize=5, label=label, linewidth=1.5, **style
    )
    for x, found in points.items():
        color = lines[0].get_color()
        axis.vlines(x, found.min(), found.max(), color=color, alpha=0.5)


# -- fronts -------------------------------------------------------------------


def front_sweep(base: Config, find: plan.Find) -> dict[str, Records]:
    """Runs of both methods at all weights of the losses, in their order."""
    configs: dict[str, list[Config]] = {}
    for method in (plan.SUM, plan.POOLED):
        config = plan.chosen(method, base, find)
        if config is None:
            return {}
        configs[method] = [*plan.further("front", config), config]
        configs[method].sort(key=lambda other: other.alpha)
    return _complete(configs, find)


def front_table(base: Config, find: plan.Find) -> str:
    """Test errors by weight of the losses, and hypervolumes."""
    sweep = front_sweep(base, find)
    if not sweep:
        return ""
    lines = _head("method", "α", *(METRICS[name] for name in METRICS), "seeds")
    for method, runs in sweep.items():
        for alpha in dict.fromkeys(run["config"]["alpha"] for run in runs):
            some = [run for run in runs if run["config"]["alpha"] == alpha]
            errors = [spread(values(some, name)) for name in METRICS]
            lines.append(_row(method, alpha, *errors, len(some)))
    return "\n".join(
        ["### Weights of the losses", "", *lines, "", _volumes(sweep)]
    )


def _points(runs: Records) -> np.ndarray:
    return np.stack([values(runs, metric) for metric in FRONT], axis=-1)


def _volumes(sweep: dict[str, Records]) -> str:
    """Hypervolumes of every seed, with one reference for all."""
    points = {method: _points(runs) for method, runs in sweep.items()}
    reference = keras_mtl.pareto.reference_point(points, maximize=False)
    found = []
    for method, runs in sweep.items():
        volumes = [
            keras_mtl.pareto.hypervolume(
                points[method][_of_seed(runs, seed)], reference, maximize=False
            )
            for seed in plan.SEEDS
            if _of_seed(runs, seed).any()
        ]
        cells = ", ".join(f"{volume:.3e}" for volume in volumes)
        found.append(f"{method} {cells}")
    corner = ", ".join(f"{value:.4f}" for value in reference)
    return (
        f"Hypervolume of the front of each seed (reference {corner}): "
        + "; ".join(found)
        + "."
    )


def _of_seed(runs: Records, seed: int) -> np.ndarray:
    return np.array([run["config"]["seed"] == seed for run in runs])


def plot_front(base: Config, find: plan.Find, folder: pathlib.Path) -> None:
    """Figure 6a: the fronts of both methods, and single-task errors."""
    figure, axes = new_figure(1, (6.4, 4.4))
    sweep = front_sweep(base, find)
    fronts = {
        method: keras_mtl.pareto.Points(_points(runs), list(FRONT))
        for method, runs in sweep.items()
    }
    some = sweep[plan.SUM]
    baselines = {
        metric: values(_of_same_seeds(method, some, base, find), metric)
        for method, metric in zip(SINGLE, FRONT, strict=True)
    }
    known = all(len(found) for found in baselines.values())
    keras_mtl.pareto.plot_front(
        fronts,
        maximize=False,
        baselines=(
            {metric: found.mean() for metric, found in baselines.items()}
            if known
            else None
        ),
        axes=axes[0],
    )
    axes[0].set_xlabel(f"test: {METRICS[FRONT[0]]}")
    axes[0].set_ylabel(f"test: {METRICS[FRONT[1]]}")
    save_figure(figure, folder / "front.png")
