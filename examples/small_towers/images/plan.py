"""Which runs there are: the same number of trials for every method."""

import dataclasses
import statistics
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from examples.multi_mnist.methods import SINGLE
from examples.small_towers.images.train import Config

Find = Callable[[Config], dict[str, Any] | None]
Best = dict[str, Config]

METHODS = (
    "sum",
    "self_auxiliary",
    *SINGLE,
    "uncertainty",
    "pcgrad",
    "pta_f2",
    "mgda_ub",
)
# These are compared at every size and length with more than one seed.
COMPARED = ("sum", "self_auxiliary")
LEARNING_RATES = (0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
# As many trials: three rates, with heads as most would start and as published.
HEAD_RATES = (0.05, 0.08, 0.12)
HEADS = {
    "mnist": ((1.0, 1.0), (2.0, 20.0)),
    "fashion_mnist": ((1.0, 1.0), (3.0, 30.0)),
}
SEEDS = (0, 1, 2)
LONG = 4  # times as many epochs
# Towers of the size of the main ones, trained, and frozen as in the code.
BIG_TOWERS = ("big_towers", "pta_f1")
BOTTLENECKS = (2, 4, 8, 16, 0)
SIZES = ("large", "medium", "small")
STAGES = (
    "tune",
    "seeds",
    "sizes",
    "long",
    "single",
    "big_towers",
    "bottleneck",
)


def trials(method: str, base: Config) -> list[Config]:
    """The settings that a method may be tuned to, on the large network."""
    base = dataclasses.replace(base, method=method, size="large", seed=0)
    if method != "self_auxiliary":
        return [
            dataclasses.replace(base, learning_rate=rate)
            for rate in LEARNING_RATES
        ]
    return [
        dataclasses.replace(
            base, learning_rate=rate, weight=weight, temperature=temperature
        )
        for weight, temperature in HEADS[base.source]
        for rate in HEAD_RATES
    ]


def chosen(method: str, base: Config, find: Find) -> Config | None:
    """The trial with the best mean accuracy on validation data.

    Args:
        method: Its name.
        base: What the runs have in common.
        find: Gives the record of a finished run, or None.

    Returns:
        None while a trial is not finished.
    """
    records = [find(config) for config in trials(method, base)]
    if any(record is None for record in records):
        return None
    scores = [
        statistics.fmean(record["result"]["validation"].values())
        for record in records
    ]
    return trials(method, base)[scores.index(max(scores))]


def stage(name: str, base: Config, find: Find) -> Iterator[Config]:
    """The runs of a stage, those of later stages at the settings chosen.

    Args:
        name: One of `STAGES`.
        base: What all runs have in common: source, epochs and so on.
        find: As for `chosen`; every trial must be finished but for `"tune"`.
    """
    if name == "tune":
        for method in METHODS:
            yield from trials(method, base)
        return
    best = {method: chosen(method, base, find) for method in METHODS}
    if name in FURTHER:
        for method, config in best.items():
            yield from FURTHER[name](method, config)
    else:
        yield from ABLATIONS[name](best)


def _seeds(method: str, config: Config) -> Iterator[Config]:
    for seed in SEEDS[1:]:
        yield dataclasses.replace(config, seed=seed)


def _sizes(method: str, config: Config) -> Iterator[Config]:
    for size in SIZES[1:]:
        for seed in SEEDS if method in COMPARED else SEEDS[:1]:
            yield dataclasses.replace(config, size=size, seed=seed)


def _long(method: str, config: Config) -> Iterator[Config]:
    epochs = LONG * config.epochs
    for seed in SEEDS if method in COMPARED else ():
        yield dataclasses.replace(config, epochs=epochs, seed=seed)


def singles(best: Best) -> Iterator[Config]:
    """Self-auxiliaries on networks of one task, which have their own rates."""
    heads = best["self_auxiliary"]
    for name in SINGLE:
        for size in SIZES:
            for seed in SEEDS if size == "large" else SEEDS[:1]:
                yield dataclasses.replace(
                    heads,
                    method=f"{name}+self_auxiliary",
                    learning_rate=best[name].learning_rate,
                    size=size,
                    seed=seed,
                )


def big_towers(best: Best) -> Iterator[Config]:
    """Large auxiliary towers at the rate of the small ones."""
    for method in BIG_TOWERS:
        for seed in SEEDS:
            yield dataclasses.replace(
                best["self_auxiliary"],
                method=method,
                weight=None,
                temperature=None,
                seed=seed,
            )


def bottlenecks(best: Best) -> Iterator[Config]:
    """Heads of several widths on the small network."""
    for bottleneck in BOTTLENECKS:
        yield dataclasses.replace(
            best["self_auxiliary"], size="small", bottleneck=bottleneck
        )


FURTHER = {"seeds": _seeds, "sizes": _sizes, "long": _long}
ABLATIONS = {
    "single": singles,
    "big_towers": big_towers,
    "bottleneck": bottlenecks,
}
