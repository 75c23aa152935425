"""Recurrent networks for two tasks over one text, on CLINC and TREC.

CLINC: the intent of a request (150) and its domain (10). TREC: coarsely (6) and
finely (47) what a question asks for. A bidirectional LSTM for each task, one
for both (hard sharing), cross-stitch units and a sluice network, all with
equally many parameters, are trained from several seeds; each run writes one
JSON file into --output_dir.

  python -m examples.text_tasks
  python -m examples.text_tasks --source=trec --model=sluice --seed=0
  python -m examples.text_tasks --report

A killed run continues where it stopped when it is started again, and finished
runs are skipped. Where a model was trained with several learning rates,
validation chooses one. --report writes results.md, clinc.png and trec.png of
all runs in --output_dir.

The texts come from tensorflow-datasets, which downloads them once (less than
1 MB); without a network see --data_dir.
"""

import sys

from absl import app
from absl import flags

from examples.runs import said_by
from examples.text_tasks import model
from examples.text_tasks import report
from examples.text_tasks import train

_SOURCE = flags.DEFINE_list(
    "source", list(train.SOURCES), "Which texts: clinc, trec, or both."
)
_MODEL = flags.DEFINE_list(
    "model",
    list(model.ARCHITECTURES),
    "What to train: single (a network a task), hard_sharing, cross_stitch, "
    "sluice; several with commas.",
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
    "Trainable parameters of every model without its embeddings, within 2 %; "
    "its width follows.",
    lower_bound=1,
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", train.Config.epochs, "At most so many.", lower_bound=1
)
_PATIENCE = flags.DEFINE_integer(
    "patience",
    train.Config.patience,
    "Stop after so many epochs without a better accuracy on validation.",
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
    "Use only so many texts of each split, for a quick look.",
    lower_bound=2,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/text_tasks", "Where runs and reports are kept."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Where tensorflow-datasets keeps its data: TFDS_DATA_DIR, or "
    "~/tensorflow_datasets, by default.",
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
            data = {
                source: train.load(
                    source, limit=_LIMIT.value, data_dir=_DATA_DIR.value
                )
                for source in _SOURCE.value
            }
        for config in todo:
            print(f"\n{config.source}, {config.name}", flush=True)
            train.train(
                config,
                _OUTPUT_DIR.value,
                data[config.source],
                # A log file wants one line an epoch, not a progress bar.
                verbose="auto" if sys.stdout.isatty() else 2,
            )
    print(report.write_report(_OUTPUT_DIR.value))


def configs() -> list[train.Config]:
    """The runs that the flags ask for, seed by seed."""
    for flag, names, known in (
        ("source", _SOURCE.value, train.SOURCES),
        ("model", _MODEL.value, model.ARCHITECTURES),
    ):
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise app.UsageError(
                f"--{flag}: no {unknown}; there is {list(known)}"
            )
    return [
        train.Config(
            source=source,
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
        for source in _SOURCE.value
        for name in _MODEL.value
    ]


def _numbers(flag: str, values: list[str], kind: type) -> list:
    try:
        return [kind(value) for value in values]
    except ValueError as error:
        raise app.UsageError(f"--{flag}: {error}") from error


if __name__ == "__main__":
    app.run(main)
