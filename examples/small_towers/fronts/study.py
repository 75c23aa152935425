"""The two methods, their networks, and what came out."""

import pathlib

import keras

import keras_mtl
from examples.multi_mnist.model import REPRESENTATION
from examples.multi_mnist.model import TASKS
from examples.multi_mnist.model import build_lenet
from examples.runs import default_jit
from keras_mtl.utils.files import write_whole

METRICS = {f"{task}_accuracy": "max" for task in TASKS}
# Beside equal ones. With less than that a task is not learned at all here.
SHARES = (0.3, 0.4, 0.6, 0.7)
# Chance, below which no network of these is.
REFERENCE = dict.fromkeys(METRICS, 0.1)


def make_comparison(folder: str, steps: int) -> keras_mtl.comparison.Comparison:
    """The two methods, and how a network of each is made.

    Args:
        folder: Where runs are kept.
        steps: Of a run, over which the learning rate falls to zero.
    """

    def build(trial: keras_mtl.comparison.Trial) -> keras.Model:
        model = build_lenet("large", TASKS, keras_mtl.MultiTaskModel)
        rate = trial.suggest_float("learning_rate", 0.01, 0.3, log=True)
        if trial.method == "self_auxiliary":
            model = keras_mtl.add_self_auxiliaries(
                model,
                REPRESENTATION,
                weight=trial.suggest_float("weight", 0.2, 4.0, log=True),
                temperature=trial.suggest_float(
                    "temperature", 1.0, 20.0, log=True
                ),
            )
        crossentropy = keras.losses.SparseCategoricalCrossentropy
        model.compile(
            keras.optimizers.SGD(
                keras.optimizers.schedules.CosineDecay(rate, steps),
                momentum=0.9,
            ),
            loss={task: crossentropy(from_logits=True) for task in TASKS},
            metrics={task: ["accuracy"] for task in TASKS},
            jit_compile=default_jit(),
            **trial.compile_arguments,
        )
        return model

    def weighted(weights: dict[str, float]) -> dict:
        return {"loss_weights": weights}

    return keras_mtl.comparison.Comparison(
        build,
        methods={"sum": weighted, "self_auxiliary": weighted},
        metrics=METRICS,
        directory=folder,
        tasks=TASKS,
    )


def write_report(
    comparison: keras_mtl.comparison.Comparison, folder: pathlib.Path
) -> str:
    """Writes `fronts.md` and `fronts.png` into the folder.

    Returns:
        The text.
    """
    comparison.plot_front(folder / "fronts.png")
    lines = [
        comparison.table(),
        "",
        "| method | hypervolume, from chance | points | seeds |",
        "|---|---:|---:|---:|",
    ]
    volumes = {}
    for method, points in comparison.results().by("method").items():
        seeds = points.by("seed")
        interval = keras_mtl.pareto.hypervolume_interval(seeds, REFERENCE)
        lines.append(
            f"| {method} | {interval} | {len(points)} | {len(seeds)} |"
        )
        volumes[method] = {
            seed: keras_mtl.pareto.hypervolume(front, REFERENCE)
            for seed, front in seeds.items()
        }
    difference = keras_mtl.pareto.confidence_interval(
        volumes["self_auxiliary"], volumes["sum"]
    )
    lines += ["", f"Hypervolume, self_auxiliary - sum: {difference}"]
    text = "\n".join(lines) + "\n"
    write_whole(folder / "fronts.md", text)
    return text
