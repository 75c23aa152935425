"""Which runs there are: the same number of trials for every method."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from examples.small_towers.movielens.config import Config
from examples.small_towers.movielens.model import SINGLE
from examples.small_towers.movielens.model import UNITS

Find = Callable[[Config], dict[str, Any] | None]

SUM, POOLED = "sum", "self_auxiliary_pool"
METHODS = (
    SUM,
    "self_auxiliary",
    POOLED,
    "uncertainty",
    "pcgrad",
    "mgda_ub",
    *SINGLE,
    "pta_f",
)
OPTIMIZERS = ("adam", "adagrad")
SCHEDULES = ("constant", "cosine")
# Of each method with nothing else to tune.
LEARNING_RATES = {
    "adam": (0.0025, 0.005, 0.01, 0.02),
    "adagrad": (0.03, 0.06, 0.12, 0.24),
}
# As many, with the middle ones of these rates: weight of the heads with their
# pool length, and number of copies.
HEADS = ((0.5, 20), (1.0, 5)), ((0.5, 5), (1.0, 20))
COPIES = (2, 4), (2, 4)
# Not the one of the trials, which is the luckiest of them.
SEEDS = (1, 2)
POOL_SIZES = (None, 2, 5, 20, 50, UNITS)
ALPHAS = (0.1, 0.3, 0.7, 0.9)  # beside the half that all others have
STAGES = ("tune", "seeds", "pool", "front")


def trials(method: str, base: Config) -> list[Config]:
    """The settings that a method may be tuned to."""
    rates = LEARNING_RATES[base.optimizer]
    if method == "pta_f":
        settings = [
            {"learning_rate": rate, "copies": copies}
            for rate, several in zip(rates[1:3], COPIES, strict=True)
            for copies in several
        ]
    elif method.startswith("self_auxiliary"):
        settings = [
            {
                "learning_rate": rate,
                "weight": weight,
                "pool_size": pool if method == POOLED else None,
            }
            for rate, heads in zip(rates[1:3], HEADS, strict=True)
            for weight, pool in heads
        ]
    else:
        settings = [{"learning_rate": rate} for rate in rates]
    base = dataclasses.replace(base, method=method, seed=0)
    return [dataclasses.replace(base, **setting) for setting in settings]


def score(record: dict[str, Any]) -> float:
    """What validation chooses by, the smaller the better.

    The sum of crossentropy and squared error, each divided by all examples, is
    what the authors' code reports last; of one task alone, its part.
    """
    found = record["result"]["validation"]
    return found.get("watch_loss", 0.0) + found.get("rating_mse_all", 0.0)


def chosen(method: str, base: Config, find: Find) -> Config | None:
    """The trial that is best on validation.

    Args:
        method: Its name.
        base: What the runs have in common.
        find: Gives the record of a finished run, or None.

    Returns:
        None while a trial is not finished.
    """
    configs = trials(method, base)
    records = [find(config) for config in configs]
    if any(record is None for record in records):
        return None
    scores = [score(record) for record in records]
    return configs[scores.index(min(scores))]


def with_seed(config: Config, seed: int) -> Config:
    """The same run with another seed."""
    return dataclasses.replace(config, seed=seed)


def stage(
    name: str, base: Config, find: Find, methods: Sequence[str] = METHODS
) -> Iterator[Config]:
    """The runs of a stage, those of later stages at the settings chosen.

    Args:
        name: One of `STAGES`.
        base: What all runs have in common.
        find: As for `chosen`; for all but `"tune"` every trial of the methods
            of the stage must be finished.
        methods: Those to look at; others have no runs.
    """
    if name == "tune":
        for method in methods:
            yield from trials(method, base)
        return
    known = {"seeds": METHODS, "pool": (POOLED,), "front": (SUM, POOLED)}
    # All with one seed first: a sweep that is cut short has all settings.
    for seed in SEEDS:
        for method in filter(methods.__contains__, known[name]):
            config = chosen(method, base, find)
            if config is None:
                raise ValueError(f"{method!r} is not tuned. Run --stage=tune.")
            yield from further(name, with_seed(config, seed))


def further(name: str, config: Config) -> Iterator[Config]:
    """What a stage makes of a setting and seed."""
    if name == "seeds":
        yield config
    elif name == "pool":
        for pool_size in POOL_SIZES:
            yield dataclasses.replace(config, pool_size=pool_size)
    else:
        for alpha in ALPHAS:
            yield dataclasses.replace(config, alpha=alpha)
