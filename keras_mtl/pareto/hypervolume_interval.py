"""How far a hypervolume may be off, for all that the seeds tell."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.pareto.hypervolume import reference_costs
from keras_mtl.pareto.hypervolume import refuse_inside
from keras_mtl.pareto.hypervolume import volume
from keras_mtl.pareto.interval import Interval
from keras_mtl.pareto.interval import checked_level
from keras_mtl.pareto.optional import import_optional
from keras_mtl.pareto.points import Points
from keras_mtl.pareto.points import as_fronts
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import one_of

HYPERVOLUMES = "hypervolumes"
POINTS = "points"
METHODS = ("percentile", "basic")


def hypervolume_interval(
    fronts: Any,
    reference: Any,
    maximize: Any = None,
    average: str = HYPERVOLUMES,
    match: str | Sequence[str] | None = None,
    level: float = 0.95,
    method: str = "percentile",
    num_resamples: int = 2000,
    seed: int = 0,
    ignore_beyond: bool = False,
) -> Interval:
    """Bootstrap interval of a hypervolume over seeds.

    The seeds are drawn anew, with replacement, as often as there are seeds,
    and SciPy takes the interval from the hypervolumes that so come out. With
    three seeds that is ten different draws, and too narrow an interval: read
    it as a spread.

    The front of many noisy points is made of the lucky ones among them. With
    `average="points"` their luck is averaged out first: of all seeds best, of
    a draw less so. Such intervals therefore reach far up, from where the
    estimate is if the noise is large; `method="basic"` takes that off.

    Args:
        fronts: A dict from seeds to points (see `non_dominated`), such as
            `results.by("seed")`, or a sequence of points, one a seed.
        reference: See `hypervolume`.
        maximize: See `non_dominated`.
        average: `"hypervolumes"` for the mean of what each seed's points have;
            `"points"` for the hypervolume of points that are first averaged
            over the seeds, setting by setting.
        match: With `average="points"`: the column, or columns, of the rows
            that tell settings apart, such as `"config.weight"`. Of points
            without rows, the first of each seed are one setting, and so on.
        level: float, above 0 and below 1.
        method: `"percentile"`, from one quantile of what is drawn to another,
            or `"basic"`, where the distances of these from the estimate change
            sides.
        num_resamples: int, from 2 up.
        seed: int, of the draws.
        ignore_beyond: See `hypervolume`. In what is drawn, points beyond the
            reference add nothing in any case.

    Returns:
        An `Interval` with `estimate`, `low`, `high` and `level`.

    Raises:
        ImportError: If moocore or SciPy is not installed.
        ValueError: If there are fewer than two seeds, if their settings do not
            match, or as `hypervolume`.

    Example:

    ```python
    results = keras_mtl.pareto.read_results("runs.jsonl", ["left", "right"])
    for method, points in results.by("config.method").items():
        interval = keras_mtl.pareto.hypervolume_interval(
            points.by("config.seed"), reference=[0.0, 0.0], maximize=True
        )
        print(method, interval)  # sum 0.8527 [0.8491, 0.856]
    ```
    """
    one_of("average", average, (HYPERVOLUMES, POINTS))
    one_of("method", method, METHODS)
    level = checked_level(level)
    num_resamples = integer_from(2, "num_resamples", num_resamples)
    sets = _sets(fronts, maximize)
    corner = reference_costs(sets[0], reference)
    if average == POINTS:
        sets = _matched(sets, match)
    if not boolean("ignore_beyond", ignore_beyond):
        for points in [_mean(sets)] if average == POINTS else sets:
            refuse_inside(points, corner)
    statistic = _statistic(sets, corner, average)
    low, high = _bootstrap(
        statistic,
        len(sets),
        confidence_level=level,
        method=method,
        n_resamples=num_resamples,
        rng=np.random.default_rng(integer_from(0, "seed", seed)),
    )
    return Interval(statistic(np.arange(len(sets))), low, high, level)


def _statistic(
    sets: list[Points], corner: np.ndarray, average: str
) -> Callable[[np.ndarray], float]:
    """The hypervolume of the seeds at some places."""
    if average == POINTS:
        costs = np.stack([points.costs for points in sets])
        return _Cached(lambda places: volume(costs[places].mean(0), corner))
    volumes = np.array([volume(points.costs, corner) for points in sets])
    return _Cached(lambda places: volumes[places].mean())


class _Cached:
    """A statistic of draws of seeds, whose order does not matter."""

    def __init__(self, function: Any):
        self.function = function
        self.known: dict[tuple[int, ...], float] = {}

    def __call__(self, places: np.ndarray) -> float:
        key = tuple(sorted(places.tolist()))
        if key not in self.known:
            self.known[key] = float(self.function(list(key)))
        return self.known[key]


def _bootstrap(
    statistic: Any, num_seeds: int, **kwargs: Any
) -> tuple[float, float]:
    stats = import_optional("scipy.stats", "Bootstrap intervals are computed")
    interval = stats.bootstrap(
        (np.arange(num_seeds),), statistic, vectorized=False, **kwargs
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _mean(sets: list[Points]) -> Points:
    """Each setting's mean over the seeds."""
    values = np.mean([points.values for points in sets], axis=0)
    return Points(values, sets[0].tasks, sets[0].maximize)


def _sets(fronts: Any, maximize: Any) -> list[Points]:
    """The points of each seed."""
    is_sequence = isinstance(fronts, (list, tuple))
    given = dict(enumerate(fronts)) if is_sequence else fronts
    if not isinstance(given, Mapping) or len(given) < 2:
        raise ValueError(
            "`fronts` must be a dict from seeds to points, or a sequence of "
            "points, with at least two seeds: from one nothing follows about "
            f"others. Received: {type(fronts).__name__} of "
            f"{len(given) if isinstance(given, Mapping) else 'no seeds'}"
        )
    sets = list(as_fronts(given, maximize).values())
    if len(sets) != len(given):
        raise ValueError(
            "`fronts` must hold several points for each seed. Received: a dict "
            f"with entries {list(given)}, each of them one column"
        )
    return sets


def _matched(sets: list[Points], match: Any) -> list[Points]:
    """The points of each seed, in one order of the settings."""
    if match is None:
        with_rows = [points for points in sets if points.rows]
        if with_rows:
            columns = list(with_rows[0].rows[0])
            raise ValueError(
                "`match` must name the columns that tell settings apart, so "
                "that points of one setting are averaged. Received: match=None "
                f"and rows with {columns}"
            )
        sizes = [len(points) for points in sets]
        if len(set(sizes)) > 1:
            raise ValueError(
                "`fronts` must hold the same settings for each seed. Received: "
                f"{sizes} points"
            )
        return sets
    keys = [points.column(match) for points in sets]
    for found in keys:
        if len(set(found)) < len(found) or set(found) != set(keys[0]):
            raise ValueError(
                f"`match={match!r}` must tell the same settings apart for each "
                f"seed, once each. Received: {keys[0]} and {found}"
            )
    return [
        points[[found.index(key) for key in keys[0]]]
        for points, found in zip(sets, keys, strict=True)
    ]
