"""An estimate and how far it may be off."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_mtl.pareto.points import numbers
from keras_mtl.utils.argument_validation import is_number


class Interval(NamedTuple):
    """A confidence interval.

    Attributes:
        estimate: float, of the values that there are.
        low: float, its lower end.
        high: float, its upper end.
        level: How often such an interval holds the true value, as 0.95.
    """

    estimate: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        """As a table shows it."""
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"


def checked_level(level: Any) -> float:
    """The argument `level`, if it is one."""
    if not is_number(level) or not 0 < level < 1:
        raise ValueError(
            "`level` must be a number above 0 and below 1, such as 0.95. "
            f"Received: level={level!r}"
        )
    return float(level)


def _by_index(argument: str, values: Any) -> Any:
    """A series of pandas as a dict: its order need not be another's."""
    if not (hasattr(values, "index") and hasattr(values, "to_dict")):
        return values
    seeds = list(values.index)
    if len(set(seeds)) < len(seeds):
        raise ValueError(
            f"`{argument}` must name each seed once in its index. Received: "
            f"{seeds}"
        )
    return values.to_dict()


def by_seed(argument: str, values: Any) -> np.ndarray:
    """One finite number a seed, `[S]` with at least two."""
    if isinstance(values, Mapping):
        values = list(values.values())
    array = numbers(values, argument)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(
            f"`{argument}` must have a finite number for each of at least two "
            f"seeds: from one nothing follows about others. Received: "
            f"{argument}={values!r:.200}"
        )
    return array


def pairs_by_seed(values: Any, others: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers a seed, `[S]` each.

    Args:
        values: One a seed: a dict by seed, or a sequence.
        others: Likewise, with the same seeds.

    Raises:
        ValueError: If they are no pairs.
    """
    values = _by_index("values", values)
    others = _by_index("others", others)
    if isinstance(values, Mapping) != isinstance(others, Mapping):
        raise ValueError(
            "`values` and `others` must be two dicts by seed, or two sequences "
            f"in one order of the seeds. Received: a {type(values).__name__} "
            f"and a {type(others).__name__}"
        )
    if isinstance(values, Mapping):
        alone = [
            seed
            for seed in {**values, **others}
            if not (seed in values and seed in others)
        ]
        if alone:
            raise ValueError(
                "`values` and `others` must be of the same seeds. Received: "
                f"{alone} in one of them alone"
            )
        others = [others[seed] for seed in values]
    pair = by_seed("values", values), by_seed("others", others)
    if len(pair[0]) != len(pair[1]):
        raise ValueError(
            "`values` and `others` must be of the same seeds. Received: "
            f"{len(pair[0])} and {len(pair[1])} numbers"
        )
    return pair
