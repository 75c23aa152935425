"""OL-AUX on the synthetic regression: weights that follow what helps.

The problem of regression.py, in which the weight of the auxiliary task starts
at one and moves every five steps with the inner product of the gradients of
both tasks. Writes one line a run to --output_dir/adaptive.jsonl, and then
adaptive.png, the weights step by step, and adaptive.md, test errors beside
those of fixed weights where regression.py has left some.

  python -m examples.censoring.adaptive --seeds=3
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mtl
from examples.censoring import methods
from examples.censoring import program
from examples.censoring import regression
from examples.censoring import sweep
from examples.censoring.restart import Restart
from examples.censoring.statistics import summarize
from examples.figures import save_figure
from examples.figures import styles
from keras_mtl.utils.files import write_whole

BETAS = (0.1, 1.0, 10.0, 100.0)
SEEDS = 10
STEPS_PER_EPOCH = 10
SHOWN_STEPS = 1000


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        beta: Step size of the weights.
        task: The auxiliary task, one of `regression.TASKS`.
        seed: Of the initial weights and the batches.
    """

    beta: float
    task: str
    seed: int


class RecordWeight(keras.callbacks.Callback):
    """Keeps the weight of the auxiliary task, from the start on.

    Attributes:
        weights: One a epoch, and one before the first.
    """

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.weights = [self.weight()]

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.weights.append(self.weight())

    def weight(self) -> float:
        return float(self.model.weighting.task_weights.numpy()[1])


@functools.lru_cache(maxsize=1)
def make_model(beta: float) -> tuple[Restart, keras.Model]:
    """The network of the regression, compiled with adaptive weights."""
    weighting = keras_mtl.weightings.OLAUX("main", beta)
    return regression.compile_model(weighting=weighting)


def run(cell: Cell) -> dict[str, Any]:
    """Trains until validation does not improve, and measures the test error.

    Returns:
        What `regression.train` returns, and `weights`, those of the auxiliary
        task before the first epoch and after each.
    """
    restart, network = make_model(cell.beta)
    record = RecordWeight()
    found = regression.train(
        restart, network, cell.task, cell.seed, callbacks=[record]
    )
    return {**found, "weights": [round(w, 4) for w in record.weights]}


Runs = Mapping[tuple[float, str], Sequence[Mapping[str, Any]]]


def group(rows: Sequence[Mapping[str, Any]]) -> Runs:
    """The runs of each step size and auxiliary task."""
    runs: dict[tuple[float, str], list] = {}
    for row in rows:
        config = row["config"]
        runs.setdefault((config["beta"], config["task"]), []).append(row)
    return dict(sorted(runs.items()))


def table(runs: Runs, fixed: Sequence[Mapping[str, Any]]) -> str:
    """Test errors, beside fixed weights.

    Args:
        runs: By step size and auxiliary task.
        fixed: Rows of regression.py.
    """
    errors: dict[tuple[str, str], list[float]] = {}
    for (beta, task), rows in runs.items():
        found = [row["test_loss"] for row in rows]
        errors[f"adaptive, β = {beta:g}", task] = found
    for row in fixed:
        setting = row["config"]["setting"]
        if setting["method"] == methods.MULTI:
            key = f"fixed weight {setting['weight']:g}", row["config"]["task"]
            errors.setdefault(key, []).append(row["test_loss"])
    lines = [
        "| weight | " + " | ".join(regression.TASKS) + " |",
        "|---|" + "---:|" * len(regression.TASKS),
    ]
    for name in dict.fromkeys(name for name, _ in errors):
        cells = []
        for task in regression.TASKS:
            if (name, task) not in errors:
                cells.append("")
                continue
            found = summarize(errors[name, task])
            cells.append(f"{found} ({found.count})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot_weights(runs: Runs, path: str | os.PathLike) -> None:
    """The weights step by step: a panel a step size, a line a task.

    Lines are medians over seeds, and bands hold the middle half.
    """
    from matplotlib.figure import Figure

    betas = sorted({beta for beta, _ in runs})
    figure = Figure(figsize=(1 + 2.2 * len(betas), 3), layout="constrained")
    grid = figure.subplots(1, len(betas), squeeze=False, sharey=True)[0]
    length = SHOWN_STEPS // STEPS_PER_EPOCH + 1
    for axis, beta in zip(grid, betas, strict=True):
        for task, look in zip(
            regression.TASKS, styles(len(regression.TASKS)), strict=True
        ):
            found = [
                _continued(row["weights"], length)
                for row in runs.get((beta, task), [])
            ]
            if not found:
                continue
            _draw(axis, found, label=task, **look)
        axis.set_xscale("symlog", linthresh=STEPS_PER_EPOCH)
        axis.set_xlim(0, SHOWN_STEPS)
        axis.set_yscale("log")
        axis.set_title(f"β = {beta:g}", fontsize="small")
        axis.set_xlabel("training step")
        axis.grid(alpha=0.3)
    grid[0].set_ylabel("weight of the auxiliary task")
    handles, labels = grid[0].get_legend_handles_labels()
    labels = [f"{label} task" for label in labels]
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    save_figure(figure, path)


def _draw(axis: Any, found: Sequence[np.ndarray], **look: Any) -> None:
    steps = np.arange(len(found[0])) * STEPS_PER_EPOCH
    median = np.median(found, axis=0)
    axis.plot(steps, median, markevery=0.15, markersize=4, **look)
    low, high = np.quantile(found, [0.25, 0.75], axis=0)
    axis.fill_between(steps, low, high, color=look["color"], alpha=0.15, lw=0)


def _continued(weights: Sequence[float], length: int) -> np.ndarray:
    """A run that ended early keeps its last weight."""
    weights = list(weights)[:length]
    return np.array(weights + [weights[-1]] * (length - len(weights)))


def main(argv: list[str]) -> None:
    program.check_arguments(argv)
    betas = program.numbers("beta", program.FLAGS.beta)
    cells = [
        Cell(beta, task, seed)
        for beta in betas
        for task in regression.TASKS
        for seed in program.chosen_seeds()
    ]
    path = program.results_file("adaptive")
    sweep.sweep(path, cells, run)
    print(report(path.parent))


def report(folder: pathlib.Path) -> str:
    """Writes the figure and the table of what is there, and returns it."""
    runs = group(sweep.read(folder / "adaptive.jsonl"))
    text = table(runs, sweep.read(folder / "regression.jsonl"))
    write_whole(folder / "adaptive.md", text + "\n")
    plot_weights(runs, folder / "adaptive.png")
    return text


if __name__ == "__main__":
    program.define_output_dir()
    program.define_seeds(SEEDS)
    flags.DEFINE_list(
        "beta", [str(b) for b in BETAS], "Step sizes of the weights."
    )
    app.run(main)
