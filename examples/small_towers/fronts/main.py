"""Two fronts of MultiMNIST with few images: the sum, and self-auxiliaries.

Each is tuned with the same number of trials on validation data. With the
settings chosen, networks are trained along preferences between the tasks and
with several seeds, and judged on test data: the front of each, and its
hypervolume.

  python -m examples.small_towers.fronts
  python -m examples.small_towers.fronts --report

Several processes may share one --output_dir, and may be killed at any time.
"""

import pathlib

from absl import app
from absl import flags

from examples.runs import said_by
from examples.small_towers.fronts import study
from keras_mtl.datasets import multi_mnist
from keras_mtl.datasets.multi_mnist import SOURCES
from keras_mtl.datasets.multi_mnist import VALIDATION_STEP

BATCH_SIZE = 128

_SOURCE = flags.DEFINE_enum(
    "source", "mnist", list(SOURCES), "Which single images to pair."
)
_LIMIT = flags.DEFINE_integer(
    "limit", 3000, "Source images: 3000 make 5000 examples.", lower_bound=12
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 8, "Passes over the training examples.", lower_bound=1
)
_TRIALS = flags.DEFINE_integer(
    "trials", 30, "Settings tried for each method.", lower_bound=1
)
_SEEDS = flags.DEFINE_integer(
    "seeds", 3, "Networks for each method and preference.", lower_bound=2
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/small_towers/fronts", "Where runs are kept."
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
    comparison = study.make_comparison(_OUTPUT_DIR.value, _steps())
    if not _REPORT.value:
        with said_by("--data_dir"):
            data = multi_mnist(
                _SOURCE.value, limit=_LIMIT.value, data_dir=_DATA_DIR.value
            )
        comparison.run(
            **data,
            trials=_TRIALS.value,
            seeds=_SEEDS.value,
            preferences=[[share, 1 - share] for share in study.SHARES],
            epochs=_EPOCHS.value,
            batch_size=BATCH_SIZE,
        )
    print(study.write_report(comparison, pathlib.Path(_OUTPUT_DIR.value)))


def _steps() -> int:
    """Steps of a run, of what validation leaves of the source images."""
    images = _LIMIT.value - -(-_LIMIT.value // VALIDATION_STEP)
    return _EPOCHS.value * -(-2 * images // BATCH_SIZE)


if __name__ == "__main__":
    app.run(main)
