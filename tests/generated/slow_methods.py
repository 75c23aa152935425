"""What an aggregator makes of task gradients, in float64 and one by one.

Where a method is a formula, the formula stands here, on the gradients
themselves. The problems that take a solver are solved as for the golden table,
exhaustively, and by the method's own `weights` in float64 where gradients are
too degenerate for that.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import scipy.linalg
from keras import ops

from keras_mtl.methods import GradientSpec
from keras_mtl.methods import StepInfo
from keras_mtl.solvers.random_numbers import random_normals
from keras_mtl.solvers.random_numbers import random_orders
from keras_mtl.solvers.random_numbers import random_uniforms
from tests.generated.cases import AGGREGATORS
from tests.golden import make_golden as golden

Array = np.ndarray


class Draws:
    """The keys that a method with a seed draws, step by step."""

    def __init__(self, seed: int):
        self.generator = keras.random.SeedGenerator(seed)
        self.key = None

    def next(self) -> None:
        self.key = self.generator.next()


class SlowMethod:
    """One problem: a layer, a variable or the whole model.

    Args:
        name: One of `AGGREGATORS`.
        draws: Keys of random methods, of the whole model.
    """

    def __init__(self, name: str, draws: Draws):
        self.name = name
        self.draws = draws
        self.formula = FORMULAS.get(name)
        self.own = AGGREGATORS[name]()
        self.memory: dict[str, Any] = {}
        # Whether rounding decided on the rank of the gradients.
        self.borderline = False

    def combine(
        self, rows: Array, losses: Array, present: Array | None
    ) -> Array:
        """The update `[n]` of task gradients `[T, n]`."""
        if self.name in RANKED:
            self.borderline |= _is_nearly_dependent(rows)
        if self.formula is not None:
            return self.formula(self, rows, losses, present)
        everyone = present is None or present.all()
        if everyone and self.name in SOLVED:
            weights = _solved(SOLVED[self.name], rows)
            if weights is not None:
                return weights @ rows
        return self._own(rows, losses, present)

    def _own(self, rows: Array, losses: Array, present: Any) -> Array:
        own, num_tasks = self.own, len(rows)
        names = tuple(f"task_{t}" for t in range(num_tasks))
        own.build(GradientSpec(num_tasks, (), ((rows.shape[1],),), names))
        if present is not None:
            present = ops.convert_to_tensor(present)
        step = StepInfo(ops.convert_to_tensor(losses), present, names)
        columns = rows
        if own.transforms:
            found = own.transform([list(ops.convert_to_tensor(rows))], step)
            columns = np.stack([np.asarray(row) for row in found[0]])
        gram = ops.convert_to_tensor(columns @ columns.T)
        factors = own.update(gram, step)
        return np.asarray(factors, "float64") @ columns


def _is_nearly_dependent(rows: Array) -> bool:
    """Whether a gradient is nearly in the span of others, and not quite.

    Inner products in float32 do not tell such a gradient from one in the span:
    the methods count all within 0.3 per cent of their length as dependent.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions = rows / np.where(lengths == 0, 1, lengths)
    pivots = scipy.linalg.qr(directions.T, mode="r", pivoting=True)[0]
    distances = np.abs(np.diag(pivots))
    return bool(np.any((distances > 1e-6) & (distances < 6e-3)))


def _solved(solve: Callable, rows: Array) -> Array | None:
    """Weights that are checked to the last digit; None if degenerate."""
    try:
        with np.errstate(all="ignore"):
            weights = solve(rows)
    except (AssertionError, np.linalg.LinAlgError, ValueError, TypeError):
        return None
    return weights if np.isfinite(weights).all() else None


# -- formulas ----------------------------------------------------------------


def _visits(method: SlowMethod, count: int) -> Array:
    return np.asarray(random_orders(method.draws.key, count))


def _sum(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    return rows.sum(axis=0)


def _mean(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    return rows.sum(axis=0) / len(rows)


def _random(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    scores = np.asarray(random_normals(method.draws.key, len(rows)))
    shares = np.exp(scores.astype("float64"))
    return shares / shares.sum() @ rows


def _pcgrad(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    update = 0
    for own, visits in zip(rows, _visits(method, len(rows)), strict=True):
        for other in rows[visits]:
            if own @ other < 0:
                own = own - own @ other / (other @ other) * other
        update = update + own
    return update


def _grad_vac(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    count = len(rows)
    targets = method.memory.setdefault("targets", np.zeros((count, count)))
    moved = targets.copy()
    update = 0
    for t, visits in enumerate(_visits(method, count)):
        own = rows[t]
        for j in visits:
            norm, length = np.linalg.norm(own), np.linalg.norm(rows[j])
            if norm == 0 or length == 0:
                continue
            cosine, target = own @ rows[j] / norm / length, targets[t, j]
            if cosine < target:
                sines = np.sqrt(1 - cosine**2), np.sqrt(1 - target**2)
                share = target * sines[0] - cosine * sines[1]
                own = own + norm * share / (length * sines[1]) * rows[j]
            moved[t, j] += method.own.beta * (cosine - target)
        update = update + own
    method.memory["targets"] = moved
    return update


def _grad_drop(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    draw = np.asarray(random_uniforms(method.draws.key, rows.shape[1]))
    sizes = np.abs(rows).sum(axis=0)
    purity = 0.5 * (1 + rows.sum(axis=0) / np.where(sizes > 0, sizes, 1))
    kept = np.where(draw < purity, rows > 0, rows < 0)
    return (kept * rows).sum(axis=0)


def _trimmed(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    if len(rows) < 3:
        # Nothing can be trimmed where two tasks reach a variable.
        return rows.mean(axis=0)
    return np.sort(rows, axis=0)[1:-1].mean(axis=0)


def _with_main(rule: Callable, share: float = 1.0, first: bool = False):
    """A main task and a moving average of its gradient as the reference."""

    def update(method: Any, rows: Array, losses: Any, present: Any) -> Array:
        main = method.own.main_task
        old = method.memory.get("reference")
        if present is None or present[main]:
            part = 1.0 if first and old is None else share
            held = 0 if old is None else (1 - part) * old
            method.memory["reference"] = held + part * rows[main]
        reference = method.memory.get("reference", np.zeros(rows.shape[1]))
        if share == 1 and not first:
            reference = rows[main]
        others = [row for t, row in enumerate(rows) if t != main]
        return rows[main] + sum(rule(reference, row) for row in others)

    return update


def _project(main: Array, other: Array) -> Array:
    return other if main @ other >= 0 else _reject(main, other)


def _reject(main: Array, other: Array) -> Array:
    square = main @ main
    return other - other @ main / square * main if square else other


def _if_it_agrees(main: Array, other: Array) -> Array:
    return other if main @ other > 0 else 0 * other


def _as_it_agrees(main: Array, other: Array) -> Array:
    size = np.linalg.norm(main) * np.linalg.norm(other)
    return max(main @ other, 0) / size * other if size else 0 * other


def _pcd(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    """The nearest direction in which all others gain, as long as main."""
    own, memory, count = method.own, method.memory, len(rows)
    here = np.ones(count, bool) if present is None else present
    squares = memory.setdefault("squares", np.zeros(count))
    steps = memory.setdefault("steps", np.zeros(count))
    new = (rows**2).sum(axis=1)
    squares[here] = (own.beta * squares + (1 - own.beta) * new)[here]
    steps[here] += 1
    shares = np.where(steps > 0, 1 - own.beta**steps, 1)
    scales = 1 / np.sqrt(squares / shares + own.epsilon)
    scaled = rows * scales[:, None]
    if not here[own.main_task] or not rows[own.main_task].any():
        return np.zeros(rows.shape[1])
    main, *others = scaled[here]
    update = main
    if others:
        others = np.stack(others)
        needed = own.tau * (others**2).sum(axis=1)
        found = _least_change(main, others, needed)
        if found is None:
            return rows[own.main_task]
        update = found
    length = np.linalg.norm(update)
    noise = 1e-6 * np.linalg.norm(main)
    if length <= noise:
        return np.zeros(rows.shape[1])
    return update / length * np.linalg.norm(rows[own.main_task])


def _least_change(main: Array, others: Array, needed: Array) -> Any:
    """argmin |d - main|^2 with others @ d >= needed; None if there is none.

    Every set of conditions that may be met with equality is tried.
    """
    best = None
    for code in range(2 ** len(others)):
        active = [i for i in range(len(others)) if code >> i & 1]
        rows = others[active]
        lack = needed[active] - rows @ main
        multipliers = np.linalg.lstsq(rows @ rows.T, lack, rcond=None)[0]
        update = main + multipliers @ rows
        sizes = np.linalg.norm(others, axis=1) * np.linalg.norm(update)
        met = others @ update >= needed - 1e-9 * sizes
        gap = np.linalg.norm(update - main)
        if (multipliers >= 0).all() and met.all():
            if best is None or gap < best[0]:
                best = gap, update
    return None if best is None else best[1]


def _moco(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    own, memory, count = method.own, method.memory, len(rows)
    here = np.ones(count, bool) if present is None else present
    averages = memory.setdefault("averages", np.zeros(rows.shape))
    steps = memory.setdefault("steps", np.zeros(count))
    weights = memory.setdefault("weights", np.full(count, 1 / count))
    memory["turns"] = turns = memory.get("turns", 0) + 1
    steps += here
    rates = own.beta / np.maximum(steps, 1) ** own.beta_sigma
    moved = averages + rates[:, None] * (rows - averages)
    averages[here] = moved[here]
    rate = own.gamma / turns**own.gamma_sigma
    if not here.any():
        return np.zeros(rows.shape[1])
    slopes = moved @ (np.where(here, weights, 0) @ moved)
    total = 1 - weights[~here].sum()
    found = _onto_simplex((weights - rate * slopes)[here], total)
    weights[here] = found
    return found @ moved[here]


def _onto_simplex(values: Array, total: float) -> Array:
    """The nearest nonnegative values that sum to the total."""
    for count in range(len(values), 0, -1):
        kept = np.sort(values)[::-1][:count]
        cut = (kept.sum() - total) / count
        if kept[-1] - cut >= 0:
            return np.maximum(values - cut, 0)
    raise AssertionError("one value always fits")


def _modo(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    own, memory, count = method.own, method.memory, len(rows)
    here = np.ones(count, bool) if present is None else present
    previous = memory.setdefault("previous", np.zeros(rows.shape))
    steps = memory.setdefault("steps", np.zeros(count))
    weights = memory.setdefault("weights", np.full(count, 1 / count))
    update = np.where(here, weights, 0) @ rows
    steps += here
    learns = here & (steps > 1)
    if learns.any():
        slopes = previous @ (np.where(learns, weights, 0) @ rows)
        total = 1 - weights[~learns].sum()
        moved = (weights - own.gamma * slopes)[learns]
        weights[learns] = _onto_simplex(moved, total)
    previous[here] = rows[here]
    return update


def _db_mtl(method: Any, rows: Array, losses: Array, present: Any) -> Array:
    own, memory, count = method.own, method.memory, len(rows)
    here = np.ones(count, bool) if present is None else present
    logs = rows / (np.abs(losses) + 1e-8)[:, None]
    averages = memory.setdefault("averages", np.zeros(rows.shape))
    moved = own.beta * averages + (1 - own.beta) * logs
    averages[here] = moved[here]
    lengths = np.where(here, np.linalg.norm(moved, axis=1), 0)
    factors = lengths.max() / np.where(lengths > 0, lengths, 1)
    return np.where(lengths > 0, factors, 0) @ moved


def _excess(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    own, memory, count = method.own, method.memory, len(rows)
    here = np.ones(count, bool) if present is None else present
    sums = memory.setdefault("sums", np.zeros(rows.shape))
    weights = memory.setdefault("weights", np.full(count, 1 / count))
    first = memory.setdefault("first", np.zeros(count))
    sums[here] += rows[here] ** 2
    risks = (rows**2 / np.sqrt(sums + 1e-7)).sum(axis=1)
    counted = here & (risks > 0)
    new = counted & (first == 0)
    growth = np.where(
        counted & ~new, own.eta * risks / np.where(first > 0, first, 1), 0
    )
    first[new] = risks[new]
    total = weights[here].sum()
    moved = weights[here] * np.exp(growth[here])
    weights[here] = moved / moved.sum() * total
    return np.where(here, weights, 0) @ rows


def _cr_mogm(method: Any, rows: Array, losses: Any, present: Any) -> Array:
    count = len(rows)
    here = np.ones(count, bool) if present is None else present
    # Of MGDA, in which absent tasks are long and orthogonal.
    longest = np.linalg.norm(rows, axis=1).max()
    long = np.hstack([rows, np.diag(1e3 * longest * ~here)])
    new = _solved(golden.shortest_in_hull, long)
    if new is None:
        inner = method.own.aggregator
        new = np.asarray(inner.weights(long @ long.T), "float64")
    seen = method.memory.setdefault("seen", np.zeros(count, bool))
    average = method.memory.setdefault("average", np.zeros(count))
    decay = method.own.decay
    moved = np.where(seen, decay * average + (1 - decay) * new, new)
    average[here] = moved[here]
    seen |= here
    return np.where(here, moved, 0) @ rows


FORMULAS = {
    "sum": _sum,
    "mean": _mean,
    "random": _random,
    "pcgrad": _pcgrad,
    "grad_vac": _grad_vac,
    "grad_drop": _grad_drop,
    "trimmed_mean": _trimmed,
    "projection": _with_main(_project),
    "projection_smoothed": _with_main(_project, 0.3),
    "projection_all": _with_main(_project, 0.3),
    "orthogonal": _with_main(_reject),
    "unweighted_cosine": _with_main(_if_it_agrees),
    "weighted_cosine": _with_main(_as_it_agrees, 0.5, first=True),
    "pcd": _pcd,
    "pcd_wide": _pcd,
    "moco": _moco,
    "modo": _modo,
    "db_mtl": _db_mtl,
    "excess_mtl": _excess,
    "cr_mogm": _cr_mogm,
}


def _nash(rows: Array) -> Array:
    weights = golden.power_equation(rows, 1.0)
    return weights / max(np.linalg.norm(weights @ rows), 1.0)


def _aligned(rows: Array, mode: str) -> Array:
    """Of the components that there are: the formula divides by all sizes.

    The golden table has gradients of full rank only. A task that does not reach
    a layer has zeros there, and a bias may have fewer entries than tasks.
    """
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    rank = int((sizes > 1e-6 * sizes.max(initial=0)).sum())
    if rank == 0:
        return np.zeros(len(rows))
    reduced = sizes[:rank, None] * right[:rank]
    weights = golden.aligned_mtl(reduced, mode, left[:, :rank].sum(axis=0))
    return left[:, :rank] @ weights


def _ones(rows: Array) -> Array:
    return np.ones(len(rows))


# Those of which one more dimension, however small, makes another update.
RANKED = ("aligned_mtl", "aligned_mtl_rmse", "config", "imtlg")
SOLVED = {
    "mgda": golden.shortest_in_hull,
    "cagrad": lambda rows: golden.cagrad(rows, 0.4),
    "imtlg": golden.imtlg,
    "nash_mtl": _nash,
    "fair_grad": lambda rows: golden.power_equation(rows, 2.0),
    "aligned_mtl": lambda rows: _aligned(rows, "min"),
    "aligned_mtl_rmse": lambda rows: _aligned(rows, "rmse"),
    "upgrad": lambda rows: golden.upgrad(rows, _ones(rows) / len(rows)),
    "dual_proj": lambda rows: golden.dual_cone_weights(
        rows, _ones(rows) / len(rows)
    ),
    "config": lambda rows: golden.config(rows, _ones(rows)),
}
