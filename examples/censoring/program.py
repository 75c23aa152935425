"""What the programs of all experiments have in common: their flags."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence

from absl import app
from absl import flags

from examples.censoring import methods
from examples.censoring.methods import Setting

FLAGS = flags.FLAGS
# Flags defined here are those of the program that asks for them, so that its
# --help shows them.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of an experiment with one auxiliary task.

    Attributes:
        setting: The method and its settings.
        seed: Of the initial weights, alike for all methods, and of all else
            that is random.
    """

    setting: Setting
    seed: int


def define_output_dir() -> None:
    """Defines --output_dir."""
    flags.DEFINE_string(
        "output_dir", "results/censoring", "Where the results are kept."
    )


def define_seeds(seeds: int) -> None:
    """Defines --seeds and --first_seed.

    Args:
        seeds: How many runs of each setting.
    """
    flags.DEFINE_integer("seeds", seeds, "How many runs.", lower_bound=1)
    flags.DEFINE_integer("first_seed", 0, "The first of them.", lower_bound=0)


def define_flags(
    *,
    weights: Sequence[float],
    smoothings: Sequence[float],
    granularities: Sequence[str],
    seeds: int,
    tasks: Sequence[str] = (),
) -> None:
    """Defines the flags that choose runs; called when a program starts.

    Args:
        weights: The weights of the auxiliary task that the paper has.
        smoothings: Its smoothings of the reference.
        granularities: What it censors as one vector.
        seeds: How many runs of each.
        tasks: Its auxiliary tasks, if there are several.
    """
    define_output_dir()
    flags.DEFINE_multi_enum(
        "method",
        list(methods.NAMES),
        list(methods.NAMES),
        "Which methods; by default all of the paper.",
    )
    flags.DEFINE_list(
        "weight", [str(w) for w in weights], "Weights of the auxiliary task."
    )
    flags.DEFINE_list(
        "smoothing",
        [str(s) for s in smoothings],
        "Share of a new main gradient in the reference.",
    )
    flags.DEFINE_multi_enum(
        "granularity",
        list(granularities),
        list(methods.GRANULARITIES),
        "What is censored as one vector.",
    )
    define_seeds(seeds)
    if tasks:
        flags.DEFINE_multi_enum(
            "task", list(tasks), list(tasks), "Which auxiliary tasks."
        )


def chosen_settings() -> list[Setting]:
    """The settings that the flags ask for."""
    smoothings = numbers("smoothing", FLAGS.smoothing)
    if not all(0 < smoothing <= 1 for smoothing in smoothings):
        raise app.UsageError(
            "--smoothing: should be numbers above 0 and at most 1, not "
            f"{FLAGS.smoothing}"
        )
    weights = numbers("weight", FLAGS.weight)
    return methods.settings(
        FLAGS.method, weights, FLAGS.granularity, smoothings
    )


def chosen_seeds() -> range:
    """The seeds that the flags ask for."""
    return range(FLAGS.first_seed, FLAGS.first_seed + FLAGS.seeds)


def chosen_cells() -> list[Cell]:
    """Every setting with every seed that the flags ask for."""
    return [
        Cell(setting, seed)
        for setting in chosen_settings()
        for seed in chosen_seeds()
    ]


def results_file(experiment: str) -> pathlib.Path:
    """Where the runs of an experiment are kept."""
    return pathlib.Path(FLAGS.output_dir) / f"{experiment}.jsonl"


def check_arguments(argv: Sequence[str]) -> None:
    """Refuses words that are no flags."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {list(argv[1:])}")


def numbers(flag: str, values: Sequence[str]) -> list[float]:
    """The numbers that a flag lists, from 0 up.

    Raises:
        app.UsageError: If they are none.
    """
    try:
        found = [float(value) for value in values]
    except ValueError as error:
        raise app.UsageError(f"--{flag}: {error}") from error
    if not found or not all(0 <= number < math.inf for number in found):
        raise app.UsageError(
            f"--{flag}: should be numbers from 0 up, not {list(values)}"
        )
    return found
