"""Three ways to train two tasks at once, in about a minute on a laptop.

Makes its own data (two regression tasks that share some of their structure)
and trains one small network with

  sum               the sum of both losses, as stock Keras does,
  PCGrad            conflicting task gradients projected off each other,
  self-auxiliaries  small second heads that shape the shared layers,

each from the same initial weights on the same batches. Prints a table of test
losses and of how often the two task gradients conflicted, and saves
quickstart.png.

  python -m examples.quickstart
"""

import pathlib

from absl import app
from absl import flags

from examples.quickstart import report
from examples.quickstart import train

_EPOCHS = flags.DEFINE_integer(
    "epochs", 12, "Passes over the training examples.", lower_bound=1
)
_NUM_EXAMPLES = flags.DEFINE_integer(
    "num_examples",
    20_000,
    "Training examples. A fifth as many test examples are drawn.",
    lower_bound=100,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/quickstart", "Where quickstart.png is saved."
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of data, initial weights and batches.", lower_bound=0
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    runs = train.train(
        _NUM_EXAMPLES.value, _EPOCHS.value, _SEED.value, verbose=2
    )
    figure = folder / "quickstart.png"
    report.plot(runs, figure)
    print(f"\n{report.table(runs)}")
    print(
        "\nTest loss: mean squared error / variance; predicting the mean "
        "leaves 1.\nConflict: share of training steps in which the task "
        f"gradients point apart.\nFigure: {figure}"
    )


if __name__ == "__main__":
    app.run(main)
