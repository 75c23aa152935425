"""Which runs there are, and which settings a run is trained with."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from examples.small_towers.sines.train import DATA
from examples.small_towers.sines.train import Config
from examples.small_towers.sines.train import weighted

Find = Callable[[Config], dict[str, Any] | None]

ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9)
DEPTHS = (0, 1, 3, 5, 9)
WIDTHS = (100, 500, 2000)
WIDE_DEPTH = 1  # the depth at which the paper varies the width
# As many trials without self-auxiliaries as with them: (gamma, rate). Four
# rates are alike; two more trials go to the ends, or to another weight.
RATES = (1e-3, 2e-3, 4e-3, 8e-3)
PLAIN = tuple((None, rate) for rate in (5e-4, *RATES, 1.6e-2))
HEADS = (*((1.0, rate) for rate in RATES), (0.3, 2e-3), (0.3, 4e-3))
# Tuned at each depth, or once for all where nothing is learnt anyway.
TUNED_DEPTHS = {"easier": DEPTHS, "published": (3,)}
STAGES = ("tune", "depth", "same_rate", "single", "width")


def trials(data: str, depth: int, heads: bool) -> list[Config]:
    """The settings among which validation chooses, for a tower's depth."""
    tuned = min(TUNED_DEPTHS[data], key=lambda other: abs(other - depth))
    return [
        Config(
            data,
            tuned,
            alpha=0.5,
            learning_rate=rate,
            gamma=gamma,
            epochs=DATA[data].epochs,
        )
        for gamma, rate in (HEADS if heads else PLAIN)
    ]


def chosen(data: str, depth: int, heads: bool, find: Find) -> Config:
    """The trial whose validation error is lowest.

    Args:
        data: One of `DATA`.
        depth: Hidden layers of a tower.
        heads: Whether with self-auxiliaries.
        find: Gives the record of a finished run, or `None`.

    Raises:
        LookupError: A trial is not finished.
    """
    configs = trials(data, depth, heads)
    errors = []
    for config in configs:
        record = find(config)
        if record is None:
            raise LookupError(
                "`tune` must be finished before other stages. Missing: "
                f"{config.name}"
            )
        errors.append(weighted(record["result"]["best"]["validation"], 0.5))
    return dataclasses.replace(configs[errors.index(min(errors))], depth=depth)


def same_rate(data: str, depth: int, find: Find) -> Config:
    """Without self-auxiliaries, at the rate that is best with them.

    It tells what they do from what their rate does.
    """
    plain, heads = (chosen(data, depth, h, find) for h in (False, True))
    return dataclasses.replace(plain, learning_rate=heads.learning_rate)


def front(config: Config, seed: int) -> list[Config]:
    """A run for each weight of the losses."""
    return [
        dataclasses.replace(config, alpha=alpha, seed=seed) for alpha in ALPHAS
    ]


def stage(
    name: str, data: str, seeds: range, depths: tuple[int, ...], find: Find
) -> Iterator[Config]:
    """The runs of a stage; but for `"tune"`, with the settings chosen.

    Args:
        name: One of `STAGES`. `"depth"`, `"same_rate"` and `"width"` are
            fronts, `"single"` is each task alone, at some rates.
        data: One of `DATA`.
        seeds: Of the fronts.
        depths: Of the towers.
        find: As for `chosen`.
    """
    if name == "tune":
        for depth in depths:
            for heads in (False, True):
                yield from trials(data, depth, heads)
    elif name == "same_rate":
        for seed in seeds:
            for depth in depths:
                yield from front(same_rate(data, depth, find), seed)
    elif name == "single":
        for depth in depths:
            for rate in RATES:
                for alpha in (1.0, 0.0):
                    yield dataclasses.replace(
                        chosen(data, depth, False, find),
                        alpha=alpha,
                        learning_rate=rate,
                    )
    elif name == "width":
        for seed in seeds:
            for width in WIDTHS:
                yield from _fronts(data, WIDE_DEPTH, width, seed, find)
    else:
        for seed in seeds:
            for depth in depths:
                yield from _fronts(data, depth, 100, seed, find)


def _fronts(
    data: str, depth: int, width: int, seed: int, find: Find
) -> Iterator[Config]:
    for heads in (False, True):
        config = chosen(data, depth, heads, find)
        yield from front(dataclasses.replace(config, width=width), seed)
