"""How far keras_mtl and TorchJD are apart, and which is nearer to the truth.

Every method that both have combines the same random float32 gradients in both
libraries. The exact answers are those of the golden table's references
(tests/golden/make_golden.py: SciPy, exhaustive search or closed forms, in
float64). It prints, for each method: the largest difference between the two,
relative to the exact update; the median and the largest error of each; and in
how many of the cases ours is the nearer.

  python -m benchmarks.against_torchjd
  python -m benchmarks.against_torchjd --spread=4    # norms up to 1e4 apart

It needs SciPy and TorchJD: pip install -e '.[test,benchmarks]'.
"""

import itertools
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import app
from absl import flags
from keras import ops

from benchmarks.torchjd_methods import PAIRS
from benchmarks.torchjd_methods import SMALLEST
from benchmarks.torchjd_methods import jacobian
from keras_mtl import testing
from keras_mtl.methods import GradientSpec
from tests.golden import make_golden as exact

_MATRICES = flags.DEFINE_integer(
    "matrices", 200, "Random matrices a method.", lower_bound=1
)
_SPREAD = flags.DEFINE_float(
    "spread", 0.0, "Decades between the shortest and the longest gradient."
)
# Numbers of tasks, in turn. With two, PCGrad and GradVac do not depend on the
# order in which tasks are visited, which is random in both libraries.
NUM_TASKS = (2, 3, 5, 8)
ORDERED = ("pcgrad", "grad_vac")


def mean(rows: np.ndarray) -> np.ndarray:
    return np.full(len(rows), 1 / len(rows))


def nash(rows: np.ndarray) -> np.ndarray:
    """Nash-MTL's update has the length sqrt(T), and is clipped to one."""
    return exact.METHODS["nash_mtl"](rows) / np.sqrt(len(rows))


def trimmed_mean(rows: np.ndarray) -> np.ndarray:
    return np.sort(rows, axis=0)[1:-1].mean(axis=0)


def pcd(rows: np.ndarray, tau: float = 0.02) -> np.ndarray:
    """Of unit gradients, as there is no memory; as long as the first."""
    units, norms = exact.unit_rows(rows)
    others = units[1:]
    # What m >= 0 must add so that others @ d >= tau: the nearest d.
    nearest = np.linalg.pinv(others) @ (tau - others @ units[0])
    extra = exact.nonnegative_least_squares(others.T, nearest)
    weights = np.append(1.0, extra)
    length = np.linalg.norm(weights @ units)
    return weights * norms[0] / length / norms


# Weights of the tasks; of the trimmed mean the update itself.
EXACT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": mean,
    "grad_vac": exact.METHODS["pcgrad"],
    "nash_mtl": nash,
    "cagrad": exact.METHODS["cagrad_0.4"],
    "fair_grad": exact.METHODS["fair_grad_2"],
    # TorchJD prefers all tasks by 1 / T.
    "aligned_mtl": lambda rows: (
        exact.METHODS["aligned_mtl_min"](rows) / len(rows)
    ),
    "pcd": pcd,
    "con_fig": exact.METHODS["config"],
    "krum": lambda rows: exact.krum(rows, 1, 1),
    **{
        name: exact.METHODS[name]
        for name in ("pcgrad", "mgda", "imtlg", "upgrad", "dual_proj")
    },
}


def exact_update(name: str, rows: np.ndarray) -> np.ndarray:
    rows = rows.astype("float64")
    if name == "trimmed_mean":
        return trimmed_mean(rows)
    return EXACT[name](rows) @ rows


def our_updates(name: str, matrices: list[np.ndarray]) -> list[np.ndarray]:
    """Compiled once for each number of tasks."""
    updates, functions = [], {}
    for rows in matrices:
        if len(rows) not in functions:
            method = PAIRS[name].ours(len(rows))
            spec = GradientSpec(len(rows), (), (rows.shape[1:],))
            method.build(spec)
            combine = testing.compiled(method, method.variables)
            functions[len(rows)] = (combine, method)
        combine, method = functions[len(rows)]
        before = [ops.convert_to_numpy(v) for v in method.variables]
        update = combine(ops.convert_to_tensor(rows))
        updates.append(ops.convert_to_numpy(update).astype("float64"))
        # Every matrix is a first step.
        for variable, value in zip(method.variables, before, strict=True):
            variable.assign(value)
    return updates


def their_updates(name: str, matrices: list[np.ndarray]) -> list[np.ndarray]:
    import torch
    from torchjd import aggregation

    updates = []
    for rows in matrices:
        method = PAIRS[name].aggregator(aggregation, len(rows))
        updates.append(method(torch.tensor(rows)).double().numpy())
    return updates


def compare(name: str, matrices: list[np.ndarray]) -> list[Any]:
    """One row of the table."""
    expected = [exact_update(name, rows) for rows in matrices]
    # Not a number where rounding alone decides which tasks Krum selects.
    known = [np.isfinite(update).all() for update in expected]
    matrices = list(itertools.compress(matrices, known))
    expected = list(itertools.compress(expected, known))
    ours = our_updates(name, matrices)
    theirs = their_updates(name, matrices)
    lengths = [np.linalg.norm(update) for update in expected]

    def gaps(left: list, right: list) -> np.ndarray:
        return np.array(
            [np.linalg.norm(a - b) for a, b in zip(left, right, strict=True)]
        ) / np.array(lengths)

    our_errors, their_errors = gaps(ours, expected), gaps(theirs, expected)
    nearer = 100 * np.mean(our_errors < their_errors)
    equal = 100 * np.mean(our_errors == their_errors)
    return [
        name,
        f"{gaps(ours, theirs).max():.1e}",
        f"{np.median(our_errors):.1e}",
        f"{our_errors.max():.1e}",
        f"{np.median(their_errors):.1e}",
        f"{their_errors.max():.1e}",
        f"{nearer:.0f} %" + (f" ({equal:.0f} % equal)" if equal else ""),
    ]


def make_matrices(name: str, count: int, spread: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = (2,) if name in ORDERED else NUM_TASKS
    sizes = [n for n in sizes if n >= SMALLEST.get(name, 2)]
    return [
        jacobian(rng, sizes[i % len(sizes)], spread).astype("float32")
        for i in range(count)
    ]


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    header = [
        "method",
        "largest difference",
        "our median error",
        "our largest",
        "TorchJD's median error",
        "TorchJD's largest",
        "ours nearer",
    ]
    print("| " + " | ".join(header) + " |")
    print("|---" + "|---:" * (len(header) - 1) + "|")
    for name in PAIRS:
        matrices = make_matrices(name, _MATRICES.value, _SPREAD.value)
        print("| " + " | ".join(compare(name, matrices)) + " |", flush=True)


if __name__ == "__main__":
    app.run(main)
