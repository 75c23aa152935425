"""Eight tasks of a made recommendation platform: PTA-F, self-auxiliaries.

Six classifications and two regressions, as the authors' platform has, whose
data are not public. Each method is tuned with the same number of trials on
validation data and tested with new seeds.

  python -m examples.small_towers.eight_tasks
  python -m examples.small_towers.eight_tasks --report

Several processes may share one --output_dir, and may be killed at any time.
"""

import pathlib

from absl import app
from absl import flags

from examples.small_towers.eight_tasks import data
from examples.small_towers.eight_tasks import study

_EXAMPLES = flags.DEFINE_integer(
    "examples", 40_000, "Training examples.", lower_bound=100
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 5, "Passes over the training examples.", lower_bound=1
)
_TRIALS = flags.DEFINE_integer(
    "trials", 10, "Settings tried for each method.", lower_bound=1
)
_SEEDS = flags.DEFINE_integer(
    "seeds", 5, "Models tested for each method.", lower_bound=1
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/small_towers/eight_tasks", "Where runs are kept."
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Train nothing; report what --output_dir holds."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    comparison = study.make_comparison(_OUTPUT_DIR.value)
    if not _REPORT.value:
        train = _EXAMPLES.value
        sizes = {"train": train, "validation": train // 4, "test": train // 2}
        comparison.run(
            **data.draw(sizes),
            trials=_TRIALS.value,
            seeds=_SEEDS.value,
            epochs=_EPOCHS.value,
            batch_size=256,
        )
    print(study.write_report(comparison, pathlib.Path(_OUTPUT_DIR.value)))


if __name__ == "__main__":
    app.run(main)
