"""MovieLens: who watches a movie, and how it is rated (Table 3, Figure 6).

Every method gets the same number of trials, and the one that is best on
validation is trained with other seeds and judged on test. Then the pool length
of self-auxiliaries is varied, and the weights of both losses.

  python -m examples.small_towers.movielens
  python -m examples.small_towers.movielens --report

Every run is a JSON file in --output_dir. Finished ones are not run again; one
that is killed starts anew (it takes half a minute). Several processes may share
one --output_dir. --report writes tables and two figures of what is there. The
ratings come from tensorflow-datasets (6 MB); --data=stand_in makes up some, to
see that the program works.
"""

import pathlib

from absl import app
from absl import flags

from examples.runs import said_by
from examples.small_towers.movielens import plan
from examples.small_towers.movielens import report
from examples.small_towers.movielens.config import Config
from examples.small_towers.movielens.stages import run_stages

_STAGE = flags.DEFINE_list(
    "stage",
    list(plan.STAGES),
    "What to train: tune, and at the settings that validation chose seeds, "
    "pool (pool lengths of self-auxiliaries) and front (weights of the losses "
    "of the sum and of pooled self-auxiliaries).",
)
_METHOD = flags.DEFINE_list(
    "method", list(plan.METHODS), "Which methods, in this order."
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 1, "Passes over the training examples.", lower_bound=1
)
_OPTIMIZER = flags.DEFINE_enum(
    "optimizer_name",
    "adam",
    list(plan.OPTIMIZERS),
    "Adagrad, as published, is slower with few large batches.",
)
_SCHEDULE = flags.DEFINE_enum(
    "schedule",
    "constant",
    list(plan.SCHEDULES),
    "Of the learning rate: as published, or falling to 0, with less noise.",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 1024, "Examples in a training step.", lower_bound=1
)
_DATA = flags.DEFINE_enum(
    "data", "1m", ["1m", "stand_in"], "MovieLens-1M, or made up in its place."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/small_towers/movielens", "Where runs are kept."
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
        ("stage", _STAGE.value, plan.STAGES),
        ("method", _METHOD.value, plan.METHODS),
    ):
        if not set(values) <= set(known):
            raise app.UsageError(
                f"--{name} must be of {list(known)}. Received: {values}"
            )
    folder = pathlib.Path(_OUTPUT_DIR.value)
    base = Config(
        "sum",
        0.0,
        optimizer=_OPTIMIZER.value,
        schedule=_SCHEDULE.value,
        epochs=_EPOCHS.value,
        batch_size=_BATCH_SIZE.value,
        data=_DATA.value,
    )
    if not _REPORT.value:
        with said_by("--data_dir", " Or try --data=stand_in."):
            run_stages(
                base, folder, _STAGE.value, _METHOD.value, _DATA_DIR.value
            )
    print(report.write_report(folder, base))


if __name__ == "__main__":
    app.run(main)
