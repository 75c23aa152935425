"""MNIST, one task: does a small second head help a network alone?

Networks of three sizes with a self-auxiliary head and without one, each tuned
with the same number of trials on validation data and tested with new seeds.

  python -m examples.small_towers.digits
  python -m examples.small_towers.digits --report

Several processes may share one --output_dir, and may be killed at any time.
"""

import pathlib

from absl import app
from absl import flags

from examples.multi_mnist.model import SIZES
from examples.runs import said_by
from examples.small_towers.digits import study
from keras_mtl.datasets.multi_mnist import VALIDATION_STEP

BATCH_SIZE = 128

_EPOCHS = flags.DEFINE_integer(
    "epochs", 10, "Passes over the training images.", lower_bound=1
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    12_000,
    "Images of each split: 12,000 leave 10,000 for training.",
    lower_bound=12,
)
_TRIALS = flags.DEFINE_integer(
    "trials", 6, "Settings tried with a head, and as many without.",
    lower_bound=1,
)  # fmt: skip
_SEEDS = flags.DEFINE_integer(
    "seeds", 5, "Networks tested of each kind.", lower_bound=2
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/small_towers/digits", "Where runs are kept."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where tensorflow-datasets keeps its data."
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Train nothing; report what --output_dir holds."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    images = _LIMIT.value - -(-_LIMIT.value // VALIDATION_STEP)
    steps = _EPOCHS.value * -(-images // BATCH_SIZE)
    comparisons = {
        size: study.make_comparison(folder / size, size, steps)
        for size in SIZES
    }
    if not _REPORT.value:
        with said_by("--data_dir"):
            data = study.load(_LIMIT.value, _DATA_DIR.value)
        for size, comparison in comparisons.items():
            print(f"{size} network", flush=True)
            comparison.run(
                **data,
                trials=_TRIALS.value,
                seeds=_SEEDS.value,
                epochs=_EPOCHS.value,
                batch_size=BATCH_SIZE,
            )
    print(study.write_report(comparisons, folder))


if __name__ == "__main__":
    app.run(main)
