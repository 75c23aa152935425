"""Sums of sines: which towers are too small, which too large?

The synthetic experiment of the paper: two shared layers and towers of 0 to 9
hidden layers, with and without self-auxiliaries, for five weights of the two
losses. Learning rate (and weight of the self-auxiliaries) are chosen on
validation data from as many trials.

  KERAS_BACKEND=jax python -m examples.small_towers.sines
  KERAS_BACKEND=jax python -m examples.small_towers.sines --report

A run that is killed is trained anew; finished ones stay.
"""

import functools
import pathlib
import sys
from typing import Any

from absl import app
from absl import flags

from examples.planned_runs import finder
from examples.planned_runs import run_all
from examples.small_towers.sines import plan
from examples.small_towers.sines import report
from examples.small_towers.sines.train import DATA
from examples.small_towers.sines.train import Config
from examples.small_towers.sines.train import train

_DATA = flags.DEFINE_multi_enum(
    "data",
    ["easier"],
    list(DATA),
    "As published, or with fewer features and lower frequencies, from which "
    "networks of this size learn.",
)
_STAGE = flags.DEFINE_multi_enum(
    "stage",
    list(plan.STAGES),
    list(plan.STAGES),
    "What to train, in this order: tune, then fronts by depth of the towers, "
    "those without self-auxiliaries again at the rate that is best with them, "
    "single tasks, and fronts by width.",
)
_DEPTH = flags.DEFINE_multi_integer(
    "depth", list(plan.DEPTHS), "Hidden layers of a tower.", lower_bound=0
)
_FIRST_SEED = flags.DEFINE_integer("first_seed", 0, "The first seed of fronts.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "How many seeds.", lower_bound=1)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/small_towers/sines", "Where runs are kept."
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Train nothing; report what --output_dir holds."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    if not _REPORT.value:
        train_one = functools.partial(train, output_dir=folder)
        for name in _STAGE.value:
            for data in _DATA.value:
                try:
                    configs = stage(name, data, folder)
                except LookupError as error:
                    sys.exit(f"--stage: {error.args[0]}")
                title = f"{data}, {name}"
                run_all(configs, folder, title, train_one, tell)
    print(report.write_report(folder))


def stage(name: str, data: str, folder: pathlib.Path) -> list[Config]:
    """The runs that the flags ask for."""
    seeds = range(_FIRST_SEED.value, _FIRST_SEED.value + _SEEDS.value)
    depths = tuple(_DEPTH.value)
    configs = plan.stage(name, data, seeds, depths, finder(folder))
    return list(dict.fromkeys(configs))


def tell(record: dict[str, Any]) -> str:
    """Test errors of a run, and how long it took."""
    best = record["result"]["best"]["test"]
    errors = {task: round(error, 2) for task, error in best.items()}
    return f"{errors} {record['seconds']:.0f} s"


if __name__ == "__main__":
    app.run(main)
