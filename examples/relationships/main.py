"""What layers learn about tasks whose relationship is known.

Makes four linear tasks: the first, one alike, one opposed to it and one that
has nothing to do with it, each with few and noisy examples. Trains

  independent   a dense layer for each task,
  relationship  a MultilinearRelationship: one prior over all kernels,
  stitch        dense layers, and then a CrossStitch between their outputs,

prints a table of test errors, and draws the covariance of the tasks and the
matrix of stitches that were learned.

  python -m examples.relationships
"""

import pathlib

from absl import app
from absl import flags

from examples.relationships import report
from examples.relationships import train

_NUM_EXAMPLES = flags.DEFINE_integer(
    "num_training_examples",
    128,
    "Training examples: with many, no task needs another.",
    lower_bound=8,
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 300, "Passes over the training examples.", lower_bound=1
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/relationships", "Where the figures are saved."
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of data, initial weights and batches.", lower_bound=0
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    runs = train.train(_NUM_EXAMPLES.value, _EPOCHS.value, _SEED.value)
    paths = report.plot(runs, folder)
    print(report.table(runs))
    print(
        "\nTest error: mean squared error / variance; predicting the mean "
        f"leaves 1.\nFigures: {', '.join(map(str, paths))}"
    )


if __name__ == "__main__":
    app.run(main)
