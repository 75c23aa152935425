"""Five ways to share a network, compared on Census-Income (KDD).

Two tasks over one person: do they earn more than $50,000 a year, and have they
never married? A network for each, a shared bottom, cross-stitch units, MMoE and
PLE, all with equally many parameters, are trained from several seeds; each run
writes one JSON file into --output_dir.

  python -m examples.census_income --data_dir=census
  python -m examples.census_income --data_dir=census --model=mmoe,ple --seed=0
  python -m examples.census_income --report

The data are two files of UCI, census-income.data and census-income.test, from
https://archive.ics.uci.edu/dataset/117/census+income+kdd; --data_dir is their
folder. One of them is enough: the program then divides its rows.

A killed run continues where it stopped when it is started again, and finished
runs are skipped. Where a model was trained with several learning rates,
validation chooses one. --report writes results.md and auc.png of all runs in
--output_dir.
"""

import sys

from absl import app
from absl import flags

from examples.census_income import model
from examples.census_income import report
from examples.census_income import train
from examples.runs import said_by
from keras_mtl.datasets import load_census_income

_MODEL = flags.DEFINE_list(
    "model",
    list(model.ARCHITECTURES),
    "What to train: single (a network a task), shared_bottom, cross_stitch, "
    "mmoe, ple; several with commas.",
)
_SEED = flags.DEFINE_list(
    "seed", ["0", "1", "2"], "Of initial weights and batches, one run for each."
)
_LEARNING_RATE = flags.DEFINE_list(
    "learning_rate",
    [f"{train.Config.learning_rate:g}"],
    "Of Adam, one run for each.",
)
_BUDGET = flags.DEFINE_integer(
    "budget",
    train.Config.budget,
    "Trainable parameters of every model, within 2 %; its width follows.",
    lower_bound=1,
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", train.Config.epochs, "At most so many.", lower_bound=1
)
_PATIENCE = flags.DEFINE_integer(
    "patience",
    train.Config.patience,
    "Stop after so many epochs without a better AUC on validation.",
    lower_bound=1,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    train.Config.batch_size,
    "Examples in a training step.",
    lower_bound=1,
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    None,
    "Read only so many rows of each file, for a quick look.",
    lower_bound=5,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/census_income", "Where runs and reports are kept."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    "census",
    "The folder with census-income.data and census-income.test, or one of "
    "them, as they are or with .gz.",
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Train nothing; report what --output_dir holds."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if not _REPORT.value:
        todo = configs()
        with said_by("--data_dir"):
            data = load_census_income(_DATA_DIR.value, limit=_LIMIT.value)
        for config in todo:
            print(f"\n{config.name}", flush=True)
            train.train(
                config,
                _OUTPUT_DIR.value,
                data,
                # A log file wants one line an epoch, not a progress bar.
                verbose="auto" if sys.stdout.isatty() else 2,
            )
    print(report.write_report(_OUTPUT_DIR.value))


def configs() -> list[train.Config]:
    """The runs that the flags ask for, seed by seed."""
    unknown = sorted(set(_MODEL.value) - set(model.ARCHITECTURES))
    if unknown:
        raise app.UsageError(
            f"--model: no {unknown}; there is {list(model.ARCHITECTURES)}"
        )
    return [
        train.Config(
            architecture=name,
            budget=_BUDGET.value,
            epochs=_EPOCHS.value,
            patience=_PATIENCE.value,
            learning_rate=rate,
            batch_size=_BATCH_SIZE.value,
            seed=seed,
            limit=_LIMIT.value,
        )
        for seed in _numbers("seed", _SEED.value, int)
        for rate in _numbers("learning_rate", _LEARNING_RATE.value, float)
        for name in _MODEL.value
    ]


def _numbers(flag: str, values: list[str], kind: type) -> list:
    try:
        return [kind(value) for value in values]
    except ValueError as error:
        raise app.UsageError(f"--{flag}: {error}") from error


if __name__ == "__main__":
    app.run(main)
