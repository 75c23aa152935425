"""Test metrics of methods, and what can be said of their differences."""

from collections.abc import Mapping
from typing import Any

from keras_mtl.pareto.interval import Interval
from keras_mtl.pareto.interval import checked_level
from keras_mtl.pareto.paired_seeds import confidence_interval

Rows = list[dict[str, Any]]


def table(
    rows: Rows, metrics: Mapping[str, str], methods: list[str], level: float
) -> str:
    """Makes the table of `Comparison.table`.

    Args:
        rows: Records of tests.
        metrics: `"max"` or `"min"` by name.
        methods: Names, the baseline first.
        level: How often all differences are to be right together.
    """
    by_method = {name: _by_seed(rows, name) for name in methods}
    by_method = {name: found for name, found in by_method.items() if found}
    baseline = methods[0]
    if baseline not in by_method:
        raise ValueError(
            f"The first method, {baseline!r}, has no model that was tested. "
            "Call `run` first"
        )
    compared = max(1, len(by_method) - 1)
    single = 1 - (1 - checked_level(level)) / compared
    head = ["method", *metrics, f"score - {baseline}", "verdict", "settings"]
    lines = [
        _line(head),
        _line(["---"] + ["---:"] * len(metrics) + ["---"] * 3),
    ]
    for name, found in by_method.items():
        lines.append(
            _line(
                [
                    name,
                    *(_metric(found, metric, level) for metric in metrics),
                    *_against(
                        found, by_method[baseline], name, baseline, single
                    ),
                    _settings(found),
                ]
            )
        )
    return "\n".join(lines)


def _by_seed(rows: Rows, method: str) -> dict[int, dict[str, Any]]:
    return {row["seed"]: row for row in rows if row["method"] == method}


def _metric(found: dict[int, Any], metric: str, level: float) -> str:
    values = [row["test"][metric] for row in found.values() if "test" in row]
    if len(values) < len(found):
        return "diverged"
    if len(values) < 2:
        return f"{values[0]:.4g}"
    return str(confidence_interval(values, level=level))


def _against(
    found: dict[int, Any],
    others: dict[int, Any],
    name: str,
    baseline: str,
    level: float,
) -> tuple[str, str]:
    """The interval of the difference, and what it says."""
    if name == baseline:
        return "", "baseline"
    seeds = sorted(found.keys() & others.keys())
    pairs = [(found[seed], others[seed]) for seed in seeds]
    if not all("test" in row for pair in pairs for row in pair):
        return "", "diverged"
    if len(pairs) < 2:
        return "", "one seed tells nothing"
    values, against = zip(
        *[[row["test_score"] for row in pair] for pair in pairs], strict=True
    )
    interval = confidence_interval(values, against, level)
    # Of rounding, or of few seeds whose accuracies differ by as many examples.
    noise = 1e-9 * max(map(abs, values + against))
    if interval.high - interval.low <= noise:
        return str(interval), "the same for all seeds: more are needed"
    return str(interval), _verdict(interval)


def _verdict(interval: Interval) -> str:
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "not told apart"


def _settings(found: dict[int, Any]) -> str:
    parameters = next(iter(found.values()))["parameters"]
    return ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in parameters.items()
    )


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
