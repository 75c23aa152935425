"""A bandit that chooses among useful, useless and harmful tasks.

Makes a main task with few examples, and three auxiliary tasks with many: a
useful one much like the main task, a useless one of coin flips, and a harmful
one that asks for something else. Trains one small network, from several seeds,
with

  main     the main task alone,
  uniform  batches of all four tasks in equal turn,
  useful   batches of the main and the useful task in equal turn: what one
           would train who knew which task is useful,
  bandit   every epoch the task that BanditSelection chooses,

and reports test accuracy of the main task, and what the bandit chose.

  python -m examples.selection
  python -m examples.selection --decay=0.1,0.3
  python -m examples.selection --report

Each run writes one JSON file into --output_dir. Finished runs are skipped, and
a killed one starts anew. --report writes results.md and selection.png of all
runs in --output_dir.
"""

import sys

from absl import app
from absl import flags

from examples.selection import report
from examples.selection import train

_SEED = flags.DEFINE_list(
    "seed",
    ["0", "1", "2", "3", "4"],
    "Of data, initial weights, batches and bandit, one run for each.",
)
_DECAY = flags.DEFINE_list(
    "decay",
    ["0.1"],
    "Of the bandit, one run for each: how much of what it knows it forgets "
    "after an epoch. AutoSeM's is 0.3.",
)
_EPOCHS = flags.DEFINE_integer(
    "epochs",
    train.Config.epochs,
    f"Periods of {train.STEPS} steps; the bandit chooses in each.",
    lower_bound=1,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/selection", "Where runs and reports are kept."
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Train nothing; report what --output_dir holds."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    todo = [] if _REPORT.value else configs()
    for number, config in enumerate(todo, 1):
        print(f"{number} of {len(todo)}: {config.name}", end=" ", flush=True)
        run = train.train(config, _OUTPUT_DIR.value)
        print(f"{run['seconds']:.0f} s", flush=True)
    try:
        print(report.write_report(_OUTPUT_DIR.value))
    except FileNotFoundError as error:
        # It says all; a traceback would hide it.
        sys.exit(f"--output_dir: {error}")


def configs() -> list[train.Config]:
    """The runs that the flags ask for, seed by seed."""
    decays = _numbers("decay", _DECAY.value, float)
    if max(decays) > 1:
        raise app.UsageError(f"--decay: {decays} are not all from 0 to 1")
    methods = [
        *((method, None) for method in train.MIXES),
        *(("bandit", decay) for decay in decays),
    ]
    return [
        train.Config(method, decay, _EPOCHS.value, seed)
        for seed in _numbers("seed", _SEED.value, int)
        for method, decay in methods
    ]


def _numbers(flag: str, values: list[str], kind: type) -> list:
    if not values:
        raise app.UsageError(f"--{flag}: give at least one number")
    try:
        numbers = [kind(value) for value in values]
    except ValueError as error:
        raise app.UsageError(f"--{flag}: {error}") from error
    if not all(number >= 0 for number in numbers):
        raise app.UsageError(f"--{flag}: {numbers} are not all from 0 up")
    return numbers


if __name__ == "__main__":
    app.run(main)
