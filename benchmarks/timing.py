"""Times of several steps, taken in turns, and their table."""

import time
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np

# Threads of one library spin for a while after their last work, and would take
# the cores from the next one.
PAUSE = 0.005


class Result(NamedTuple):
    """What was measured of one kind of step.

    Attributes:
        milliseconds: Median time of a step.
        ratio: Median, over rounds, of the time in parts of the baseline's.
        peer_ratio: The same in parts of the step that peers are compared with,
            or None.
    """

    milliseconds: float
    ratio: float
    peer_ratio: float | None = None


def measure(
    steps: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, np.ndarray]:
    """Seconds `[rounds]` of each step.

    Every round runs all steps once, so that a slow moment of the machine
    slows all of them, and starts with another one, so that none always
    follows the same.
    """
    names = list(steps)
    seconds = {name: np.zeros(rounds) for name in names}
    for r in range(rounds):
        shift = r % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(PAUSE)
            start = time.perf_counter()
            steps[name]()
            seconds[name][r] = time.perf_counter() - start
    return seconds


def summarize(
    seconds: Mapping[str, np.ndarray], baseline: str, peer_baseline: str | None
) -> dict[str, Result]:
    """Medians over rounds, and medians of the ratios within each round."""
    return {
        name: Result(
            milliseconds=1e3 * float(np.median(times)),
            ratio=float(np.median(times / seconds[baseline])),
            peer_ratio=float(np.median(times / seconds[peer_baseline]))
            if peer_baseline in seconds
            else None,
        )
        for name, times in seconds.items()
    }


def table(
    results: Mapping[str, Result],
    labels: Mapping[str, str],
    compile_seconds: Mapping[str, float],
    peer_baseline: str | None,
) -> str:
    """The results in Markdown."""
    with_peers = any(r.peer_ratio is not None for r in results.values())
    header = ["step", "ms", "× plain"]
    header += [f"× {peer_baseline}"] if with_peers else []
    rows = [header + ["first steps, s"]]
    for name, result in results.items():
        row = [
            labels[name],
            f"{result.milliseconds:.1f}",
            f"{result.ratio:.2f}",
        ]
        row += [f"{result.peer_ratio:.2f}"] if with_peers else []
        rows.append(row + [f"{compile_seconds[name]:.1f}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: list[str]) -> str:
        numbers = [
            c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)
        ]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *numbers]) + " |"

    rules = ["-" * (w + 1) + ":" for w in widths[1:]]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *rules]) + "|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])
