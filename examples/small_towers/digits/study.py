"""A LeNet of one task, with a self-auxiliary head and without."""

import pathlib
from collections.abc import Mapping

import keras

import keras_mtl
from examples.multi_mnist.model import REPRESENTATION
from examples.multi_mnist.model import build_lenet
from examples.multi_mnist.published import SMALL_BOTTLENECK
from examples.runs import default_jit
from keras_mtl.comparison import Comparison
from keras_mtl.comparison import Trial
from keras_mtl.datasets.multi_mnist import VALIDATION_STEP
from keras_mtl.datasets.tfds_arrays import load_arrays
from keras_mtl.pareto import confidence_interval
from keras_mtl.utils.files import write_whole

METHODS = ("sum", "self_auxiliary")
TASK = "digit"
# Table 6: accuracies and 95 % intervals.
PAPER = {
    "small": {"sum": (0.9833, 0.0011), "self_auxiliary": (0.9888, 0.0007)},
    "medium": {"sum": (0.9911, 0.0009), "self_auxiliary": (0.9910, 0.0031)},
    "large": {"sum": (0.9918, 0.0009), "self_auxiliary": (0.9920, 0.0011)},
}


def load(limit: int | None, data_dir: str | None) -> dict:
    """MNIST: a dict of `(images, {"digit": labels})` by part."""
    splits = {
        split: load_arrays(
            "mnist",
            split,
            ("image", "label"),
            limit=limit,
            data_dir=data_dir,
            download=True,
        )
        for split in ("train", "test")
    }
    images, labels = splits["train"]
    held_out = [i % VALIDATION_STEP == 0 for i in range(len(images))]
    chosen = {"train": [not held for held in held_out], "validation": held_out}
    parts = {part: (images[w], labels[w]) for part, w in chosen.items()}
    parts["test"] = splits["test"]
    return {part: (x, {TASK: y}) for part, (x, y) in parts.items()}


def make_comparison(folder: pathlib.Path, size: str, steps: int) -> Comparison:
    """Without a head, and with one.

    Args:
        folder: Where runs are kept.
        size: Of the network.
        steps: Of a run, over which the learning rate falls to zero.
    """

    def build(trial: Trial) -> keras.Model:
        model = build_lenet(
            size, [TASK], keras_mtl.MultiTaskModel, image_size=28
        )
        rate = trial.suggest_float("learning_rate", 0.01, 0.2, log=True)
        if trial.method == "self_auxiliary":
            model = keras_mtl.add_self_auxiliaries(
                model,
                REPRESENTATION,
                weight=trial.suggest_float("weight", 0.2, 4.0, log=True),
                bottleneck=SMALL_BOTTLENECK["mnist"]
                if size == "small"
                else None,
            )
        schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
        model.compile(
            keras.optimizers.SGD(schedule, momentum=0.9),
            loss={
                TASK: keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True
                )
            },
            metrics={TASK: ["accuracy"]},
            jit_compile=default_jit(),
        )
        return model

    return Comparison(
        build,
        methods={method: {} for method in METHODS},
        metrics={"accuracy": "max"},
        directory=folder,
    )


def write_report(
    comparisons: Mapping[str, Comparison], folder: pathlib.Path
) -> str:
    """Writes `digits.md` into the folder.

    Args:
        comparisons: By size of the network.
        folder: Where to write it.

    Returns:
        The text.
    """
    lines = [
        "| network | without (95 %) | with a head (95 %) | difference (95 %) "
        "| paper without | paper with | seeds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for size, comparison in comparisons.items():
        found = {
            method: {
                row["seed"]: row["test"]["accuracy"] for row in points.rows
            }
            for method, points in comparison.results().by("method").items()
        }
        alone, helped = (found[method] for method in METHODS)
        cells = [
            size,
            str(confidence_interval(alone)),
            str(confidence_interval(helped)),
            str(confidence_interval(helped, alone)),
            *("{} ± {}".format(*PAPER[size][method]) for method in METHODS),
            str(len(alone)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    text = "\n".join(lines) + "\n"
    write_whole(folder / "digits.md", text)
    return text
