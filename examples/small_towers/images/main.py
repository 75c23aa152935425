"""MultiMNIST and MultiFashion: do small towers help, where, and for how long?

Every method gets the same number of trials on the large network, and the one
that is best on validation data is trained with more seeds, at other sizes and,
for the sum and self-auxiliaries, four times as long.

  python -m examples.small_towers.images
  python -m examples.small_towers.images --report

Several processes may share one --output_dir; each takes the next run that no
other is at. A run that is killed is trained anew, finished ones stay.
"""

import pathlib

from absl import app
from absl import flags

from examples.runs import said_by
from examples.small_towers.images import plan
from examples.small_towers.images import report
from examples.small_towers.images import work
from examples.small_towers.images.train import Config
from keras_mtl.datasets.multi_mnist import SOURCES

_SOURCE = flags.DEFINE_list("source", list(SOURCES), "Which images to pair.")
_STAGE = flags.DEFINE_list(
    "stage",
    list(plan.STAGES),
    "What to train, in this order: tune (all methods, large network), and at "
    "the settings that validation chose seeds, sizes (small and medium), long, "
    "single (self-auxiliaries on one task), big_towers, bottleneck (its width "
    "in the small network).",
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 10, "Passes over the training examples.", lower_bound=1
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    24_000,
    "Source images: 24,000 make 40,000 training examples.",
    lower_bound=12,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/small_towers/images", "Where runs are kept."
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
    for name, values, known in (
        ("source", _SOURCE.value, SOURCES),
        ("stage", _STAGE.value, plan.STAGES),
    ):
        unknown = set(values) - set(known)
        if unknown:
            raise app.UsageError(
                f"--{name}: must be of {list(known)}. Received: {values}"
            )
    folder = pathlib.Path(_OUTPUT_DIR.value)
    if not _REPORT.value:
        with said_by("--data_dir"):
            bases = [base(source) for source in _SOURCE.value]
            work.run_stages(_STAGE.value, bases, folder, _DATA_DIR.value)
    print(report.write_report(folder, [base(s) for s in _SOURCE.value]))


def base(source: str) -> Config:
    """What all runs of a source have in common."""
    return Config(
        method="sum",
        source=source,
        size="large",
        learning_rate=plan.LEARNING_RATES[0],
        epochs=_EPOCHS.value,
        limit=_LIMIT.value,
    )


if __name__ == "__main__":
    app.run(main)
