"""Updates of every Gram method on gradients that depend on each other.

10,000 random Jacobians of 3 to 40 tasks: fewer coordinates than tasks, any rank
below the number of tasks, zero in the hull, nearly opposed, nearly dependent,
norms far apart; scales from 1e-6 to 1e6. For each method it prints

- how many have weights that are not finite;
- the longest update, in parts of T times the longest gradient;
- the largest conflict: how far an update points back along a unit gradient, in
  parts of the longest gradient;
- the same in parts of the rounding of what is added up, epsilon times the sum
  of the lengths of the weighted gradients.

Conflicts are shown of methods that promise none, and lengths of those whose
updates are as long as the gradients are.

  python -m benchmarks.dependent_gradients
  python -m benchmarks.dependent_gradients --gram_methods=UPGrad,DualProj

It takes the methods from the tables of the tests: pip install -e '.[test]'.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import app
from absl import flags
from keras import ops

from benchmarks.environment import environment
from keras_mtl import testing
from keras_mtl.methods import GradientSpec
from keras_mtl.methods import StepInfo
from tests.aggregators import methods as promises

_JACOBIANS = flags.DEFINE_integer(
    "num_jacobians", 10000, "Random Jacobians a method.", lower_bound=100
)
_METHODS = flags.DEFINE_list(
    "gram_methods", [], "Start of the names of methods; all, if empty."
)
_COMPILE = flags.DEFINE_bool(
    "dependent_xla", False, "Whether XLA compiles on TensorFlow, too."
)
# Numbers of tasks, and what share of the Jacobians has them: the time goes with
# their third power at least.
SHARES = {3: 0.4, 5: 0.3, 10: 0.2, 20: 0.08, 40: 0.02}
EPSILON = 2.0**-23


class Found(NamedTuple):
    """What the updates of one method are.

    Attributes:
        not_finite: Number of Jacobians.
        length: The longest update over T times the longest gradient.
        conflict: The largest, in parts of the longest gradient.
        rounding: The largest, in parts of the rounding.
    """

    not_finite: int
    length: float
    conflict: float
    rounding: float


# -- Jacobians -----------------------------------------------------------------


def _product(rng: np.random.Generator, size: int, width: int) -> np.ndarray:
    """Of any rank below the number of tasks."""
    rank = int(rng.integers(1, size))
    left = rng.standard_normal((size, rank))
    return left @ rng.standard_normal((rank, max(rank, width)))


def few_coordinates(rng: np.random.Generator, size: int) -> np.ndarray:
    width = int(rng.integers(1, min(size - 1, 10) + 1))
    return rng.standard_normal((size, width))


def low_rank(rng: np.random.Generator, size: int) -> np.ndarray:
    return _product(rng, size, int(rng.choice([1, 2 * size, 100])))


def surrounding(rng: np.random.Generator, size: int) -> np.ndarray:
    """Zero lies in the interior of the hull."""
    rows = _product(rng, size, 2 * size)
    rows[-1] = -rng.uniform(0.5, 2.0, size - 1) @ rows[:-1]
    return rows


def uneven(rng: np.random.Generator, size: int) -> np.ndarray:
    norms = 10 ** rng.uniform(-3, 3, (size, 1))
    return norms * _product(rng, size, 2 * size)


def _small(rng: np.random.Generator) -> float:
    return 10 ** rng.uniform(-7, -1)


def nearly_opposed(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = rng.standard_normal((size, int(rng.integers(2, size + 3))))
    error = _small(rng) * rng.standard_normal(rows.shape[1])
    rows[-1] = -rng.uniform(0.5, 2.0) * rows[0] + error
    return rows


def nearly_dependent(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = _product(rng, size, 2 * size)
    return rows + _small(rng) * rng.standard_normal(rows.shape)


KINDS = (
    few_coordinates,
    low_rank,
    surrounding,
    uneven,
    nearly_opposed,
    nearly_dependent,
)


def jacobians(num_tasks: int, count: int, seed: int = 0) -> np.ndarray:
    """float32 `[count, T, n]`, of all kinds in turn; zeros fill them up."""
    rng = np.random.default_rng([seed, num_tasks])
    filled = np.zeros((count, num_tasks, 100), "float32")
    for index in range(count):
        rows = KINDS[index % len(KINDS)](rng, num_tasks)
        scale = 10 ** rng.uniform(-6, 6)
        filled[index, :, : rows.shape[1]] = scale * rows
    return filled


# -- updates -------------------------------------------------------------------


def gram_methods() -> dict[str, promises.Entry]:
    """Those whose weights a Gram matrix decides, or it and losses."""
    looks = (promises.GRAM, promises.GRAM_AND_LOSSES)
    return {
        name: entry
        for name, entry in promises.METHODS.items()
        if entry.has_weights and entry.looks_at in looks
    }


def weights_of(
    entry: promises.Entry, rows: np.ndarray, jit_compile: bool = False
) -> np.ndarray:
    """float64 `[count, T]`: the first weights of each Jacobian."""
    count, size = rows.shape[:2]
    method = entry.make(size)
    names = tuple(f"task_{t}" for t in range(size))
    method.build(GradientSpec(size, (count,), (rows.shape[2:],), names))
    step = StepInfo(losses=np.ones(size, "float32"))

    def run(gram):
        if method.transforms:
            return method.weights(gram)
        return method.update(gram, step)

    grams = rows @ rows.swapaxes(-1, -2)
    run = testing.compiled(run, method.variables, jit_compile=jit_compile)
    weights = run(ops.convert_to_tensor(grams))
    return ops.convert_to_numpy(weights).astype("float64")


def judge(rows: np.ndarray, weights: np.ndarray) -> Found:
    """Looks at the updates in float64."""
    finite = np.isfinite(weights).all(axis=1)
    rows, weights = rows[finite].astype("float64"), weights[finite]
    updates = np.einsum("kt,ktn->kn", weights, rows)
    lengths = np.linalg.norm(rows, axis=2)
    longest = lengths.max(axis=1)
    along = np.einsum("ktn,kn->kt", rows, updates) / lengths
    back = -along.min(axis=1)
    added = (np.abs(weights) * lengths).sum(axis=1)
    sizes = np.linalg.norm(updates, axis=1) / longest / rows.shape[1]
    return Found(
        int((~finite).sum()),
        float(sizes.max()),
        float((back / longest).max()),
        float((back / np.where(added == 0, 1, added)).max() / EPSILON),
    )


def measure(entry: promises.Entry, total: int, jit_compile: bool) -> Found:
    """Over all numbers of tasks."""
    found = list(_measure_each(entry, total, jit_compile))
    return Found(sum(f[0] for f in found), *np.max(found, axis=0)[1:])


def _measure_each(
    entry: promises.Entry, total: int, jit_compile: bool
) -> Iterator[Found]:
    for size, share in SHARES.items():
        if size >= entry.fewest:
            rows = jacobians(size, int(share * total))
            yield judge(rows, weights_of(entry, rows, jit_compile))


def row(name: str, entry: promises.Entry, found: Found) -> str:
    """A line of the table, with what says something about the method."""
    length, conflict, rounding = "", "", ""
    # Some updates have a length of their own, whatever that of the gradients.
    if entry.scale != promises.NO:
        length = f"{found.length:.2g}"
    if entry.non_conflicting == promises.YES:
        rounding = f"{found.rounding:.2g}"
        conflict = f"{found.conflict:.1e}" if length else ""
    cells = [f"`{name}`", str(found.not_finite), length, conflict, rounding]
    return f"| {' | '.join(cells)} |"


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    about = environment([], num_jacobians=_JACOBIANS.value)
    print("\n".join(f"{key}: {value}" for key, value in about.items()) + "\n")
    print(
        "| method | not finite | longest update | largest conflict "
        "| in parts of rounding |"
    )
    print("|---|---:|---:|---:|---:|")
    for name, entry in gram_methods().items():
        if _METHODS.value and not name.startswith(tuple(_METHODS.value)):
            continue
        found = measure(entry, _JACOBIANS.value, _COMPILE.value)
        print(row(name, entry, found), flush=True)


if __name__ == "__main__":
    app.run(main)
