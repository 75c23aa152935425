"""The model, the methods, and what came out."""

import pathlib
from typing import Any

import keras
import numpy as np

import keras_mtl
from examples.small_towers.eight_tasks import data
from keras_mtl.pareto import RelativeChange
from keras_mtl.pareto import relative_change
from keras_mtl.utils.files import write_whole

Means = dict[str, dict[str, float]]

METHODS = ("sum", "pta_f", "self_auxiliary")
METRICS = {
    **{f"{task}_auc": "max" for task in data.CLASSIFICATION},
    **{f"{task}_rmse": "min" for task in data.REGRESSION},
}
REPRESENTATION = "representation"
# What the authors print of their platform, in percent.
PAPER = {
    "pta_f": {"auc": 0.351, "rmse": -0.072},
    "self_auxiliary": {"auc": 0.416, "rmse": -0.153},
}


def score(found: dict[str, float]) -> float:
    """Mean AUC minus mean error, which for the mean as prediction is 1."""
    auc = np.mean([found[f"{task}_auc"] for task in data.CLASSIFICATION])
    rmse = np.mean([found[f"{task}_rmse"] for task in data.REGRESSION])
    return float(auc - rmse)


def build_model() -> keras.Model:
    """Embeddings and two shared layers, and a tower of two layers a task."""
    layers = keras.layers
    user = keras.Input((), dtype="int32", name="user")
    item = keras.Input((), dtype="int32", name="item")
    context = keras.Input((data.NUM_CONTEXT,), name="context")
    x = layers.Concatenate()(
        [
            layers.Embedding(data.NUM_USERS, 16, name="users")(user),
            layers.Embedding(data.NUM_ITEMS, 16, name="items")(item),
            context,
        ]
    )
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dense(64, activation="relu", name=REPRESENTATION)(x)
    outputs = {}
    for task in data.TASKS:
        tower = x
        for _ in range(2):
            tower = layers.Dense(64, activation="relu")(tower)
        outputs[task] = layers.Dense(1, name=task)(tower)
    return keras_mtl.MultiTaskModel([user, item, context], outputs)


def build(trial: keras_mtl.comparison.Trial) -> keras.Model:
    """The model of a trial, compiled."""
    model = build_model()
    rate = trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)
    if trial.method == "self_auxiliary":
        weight = trial.suggest_float("weight", 0.1, 3.0, log=True)
        model = keras_mtl.add_self_auxiliaries(
            model, REPRESENTATION, weight=weight
        )
    elif trial.method == "pta_f":
        copies = trial.suggest_categorical("copies", [2, 3, 4])
        model = keras_mtl.add_auxiliary_towers(
            model, REPRESENTATION, copies=copies
        )
    model.compile(
        keras.optimizers.Adam(rate),
        loss={task: _loss(task) for task in data.TASKS},
        metrics={task: [_metric(task)] for task in data.TASKS},
        **trial.compile_arguments,
    )
    return model


def _loss(task: str) -> Any:
    if task in data.REGRESSION:
        return "mse"
    return keras.losses.BinaryCrossentropy(from_logits=True)


def _metric(task: str) -> keras.metrics.Metric:
    if task in data.REGRESSION:
        return keras.metrics.RootMeanSquaredError(name="rmse")
    return keras.metrics.AUC(from_logits=True, name="auc")


def make_comparison(folder: str) -> keras_mtl.comparison.Comparison:
    """The three methods; the sum is what others are compared with."""
    return keras_mtl.comparison.Comparison(
        build,
        methods={method: {} for method in METHODS},
        metrics=METRICS,
        score=score,
        directory=folder,
    )


def write_report(
    comparison: keras_mtl.comparison.Comparison, folder: pathlib.Path
) -> str:
    """Writes `eight_tasks.md` into the folder.

    Returns:
        The text.
    """
    means = {
        method: dict(
            zip(points.tasks, points.values.mean(axis=0).tolist(), strict=True)
        )
        for method, points in comparison.results().by("method").items()
    }
    sections = [changes_table(means), averages_table(means)]
    seeds = len(comparison.results().by("seed"))
    sections.append(f"Means of {seeds} seeds.")
    sections.append(comparison.table())
    text = "\n\n".join(sections) + "\n"
    write_whole(folder / "eight_tasks.md", text)
    return text


def changes(means: Means, method: str, metric: str) -> RelativeChange:
    """Against the sum, of the tasks that have a metric.

    Args:
        means: Metrics by method, each the mean over the seeds.
        method: Its name.
        metric: `"auc"` or `"rmse"`.
    """
    names = [name for name in METRICS if name.endswith(metric)]
    return relative_change(
        {name: means[method][name] for name in names},
        {name: means["sum"][name] for name in names},
    )


def changes_table(means: Means) -> str:
    """The relative change of each task against the sum, in percent."""
    others = [method for method in METHODS if method in means][1:]
    lines = [
        f"| task | metric | sum | {' | '.join(others)} |",
        "|---|---|---:|" + "---:|" * len(others),
    ]
    for name in METRICS:
        task, _, metric = name.rpartition("_")
        cells = [task, metric.upper(), f"{means['sum'][name]:.4f}"]
        for method in others:
            change = changes(means, method, metric).by_task[name]
            cells.append(f"{100 * change:+.2f} %")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def averages_table(means: Means) -> str:
    """Both ways to average, of each kind of metric, beside the paper's."""
    lines = [
        "| method | metric | mean of the changes | change of the mean "
        "| paper (change of the mean) |",
        "|---|---|---:|---:|---:|",
    ]
    for method, published in PAPER.items():
        for metric, printed in published.items():
            change = changes(means, method, metric)
            lines.append(
                f"| {method} | {metric.upper()} | {100 * change.mean:+.3f} % "
                f"| {100 * change.of_mean:+.3f} % | {printed:+.3f} % |"
            )
    return "\n".join(lines)
