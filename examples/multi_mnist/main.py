"""Multi-task methods compared on MultiMNIST and MultiFashion.

Two overlapping images, two tasks: the class of the left and of the right one.
Trains a LeNet with every named method, each run from the same initial
weights on the same batches, and writes one JSON file a run into --output_dir.

  python -m examples.multi_mnist --method=sum,pcgrad --epochs=30
  python -m examples.multi_mnist --method=all_aggregators,all_weightings
  python -m examples.multi_mnist --report

A killed run continues where it stopped when it is started again, finished runs
are skipped, and more --epochs continue a finished run. --report
writes results.md and two figures of all runs in --output_dir, beside the
numbers of the paper (https://arxiv.org/abs/2008.05808).

The images come from tensorflow-datasets, which downloads them once (12 MB for
MNIST, 30 MB for Fashion-MNIST); without a network see --data_dir.
"""

import sys

from absl import app
from absl import flags

from examples.multi_mnist import methods
from examples.multi_mnist import model
from examples.multi_mnist import report
from examples.multi_mnist import train
from examples.runs import said_by
from keras_mtl.datasets.multi_mnist import SOURCES

_METHOD = flags.DEFINE_list(
    "method",
    ["sum"],
    "Methods to train, one after the other: single_left and single_right (one "
    "task alone; 'single' means both), sum, mgda_ub (MGDA at the "
    "representation), self_auxiliary, pta_f2 to pta_f4 (so many frozen copies "
    "of each tower), big_towers (a copy that is trained), any aggregator or "
    "weighting of keras_mtl by name (a main task is 'left'), or several joined "
    "by '+', as self_auxiliary+pcgrad. 'all' means those of the paper; "
    "'all_aggregators' and 'all_weightings' mean all that are defined for two "
    "tasks.",
)
_SOURCE = flags.DEFINE_enum(
    "source", "mnist", list(SOURCES), "Which single images to pair."
)
_SIZE = flags.DEFINE_enum(
    "size",
    "large",
    list(model.SIZES),
    "The network: one, two or three dense layers shared, and as many a task.",
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 100, "Passes over the training examples.", lower_bound=1
)
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate",
    None,
    "Of SGD with momentum 0.9. By default the published one of the method: "
    "8e-4, with uncertainty 1e-3, with mgda_ub 3e-3 (mnist) or 7e-4 "
    "(fashion_mnist), with self_auxiliary 6e-4 or 7e-4.",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 256, "Examples in a training step.", lower_bound=1
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of initial weights and batches. The data stay the same."
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    None,
    "Use only so many source images of each split, for a quick look.",
    lower_bound=12,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/multi_mnist", "Where runs and reports are kept."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Where tensorflow-datasets keeps its data: TFDS_DATA_DIR, or "
    "~/tensorflow_datasets, by default.",
)
_JIT_COMPILE = flags.DEFINE_boolean(
    "jit_compile",
    None,
    "Compile with XLA. By default on an accelerator and on JAX only: "
    "TensorFlow's own convolutions are four times faster on a CPU.",
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Train nothing; report what --output_dir holds."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not _REPORT.value:
        with said_by("--data_dir"):
            run(configs())
    print(report.write_report(_OUTPUT_DIR.value))


def run(todo: list[train.Config]) -> None:
    """Trains what is not trained yet."""
    for config in todo:
        print(f"\n{config.name}", flush=True)
        train.train(
            config,
            _OUTPUT_DIR.value,
            data_dir=_DATA_DIR.value,
            jit_compile=_JIT_COMPILE.value,
            # A log file wants one line an epoch, not a progress bar.
            verbose="auto" if sys.stdout.isatty() else 2,
        )


def configs() -> list[train.Config]:
    """The runs that the flags ask for."""
    try:
        names = methods.expand(_METHOD.value)
    except ValueError as error:
        raise app.UsageError(f"--method: {error}")
    for name, reason in methods.left_out(_METHOD.value).items():
        print(f"Left out: {name}. {reason}")
    return [
        train.Config(
            method=name,
            source=_SOURCE.value,
            size=_SIZE.value,
            epochs=_EPOCHS.value,
            learning_rate=_LEARNING_RATE.value,
            batch_size=_BATCH_SIZE.value,
            seed=_SEED.value,
            limit=_LIMIT.value,
        ).resolved()
        for name in names
    ]


if __name__ == "__main__":
    app.run(main)
