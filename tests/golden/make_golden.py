"""Makes golden.npz: what each method gives on the cases, in float64.

    python -m tests.golden.make_golden

Written from the definitions, on the gradients themselves and with none of
keras_mtl: exhaustive active sets, SciPy, closed forms. A problem that was
solved by iteration is not believed but checked: its optimality conditions hold
to `TIGHT`, relative to the terms that cancel in them.

Every method returns task weights `[T]` for gradients `[T, n]`; the update is
the sum of the gradients times these. Weights of independent gradients are
unique, so the table holds all there is to compare.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import optimize
from scipy import special

from tests.golden import cases

PATH = Path(__file__).with_name("golden.npz")
TIGHT = 1e-10
Array = np.ndarray


def unit_rows(rows: Array) -> tuple[Array, Array]:
    """Gradients of length one, and what their lengths were."""
    norms = np.linalg.norm(rows, axis=1)
    return rows / norms[:, None], norms


def weights_of_update(rows: Array, update: Array) -> Array:
    """The weights that give an update in the span of the gradients."""
    units, norms = unit_rows(rows)
    return np.linalg.lstsq(units.T, update, rcond=None)[0] / norms


# -- problems ----------------------------------------------------------------


def nonnegative_least_squares(matrix: Array, vector: Array) -> Array:
    """argmin |A x - b| over x >= 0, columns of A near length one.

    Up to five columns every set of positive entries is tried.
    """
    size = matrix.shape[1]
    if size <= 5:
        supports = itertools.product([False, True], repeat=size)
    else:
        supports = [optimize.nnls(matrix, vector)[0] > 0]
    best = None
    for support in map(list, supports):
        solution = np.zeros(size)
        solution[support] = np.linalg.lstsq(
            matrix[:, support], vector, rcond=None
        )[0]
        gap = np.linalg.norm(matrix @ solution - vector)
        if (solution >= 0).all() and (best is None or gap < best[0]):
            best = gap, solution
    solution = best[1]
    slope = matrix.T @ (matrix @ solution - vector)
    allowed = TIGHT * (np.linalg.norm(vector) + solution.sum())
    assert slope.min() >= -allowed
    assert np.abs(slope[solution > 0]).max(initial=0) <= allowed
    return solution


def shortest_in_hull(rows: Array) -> Array:
    """Weights, summing to one, of the point of the hull nearest to zero.

    A multiple of the weights x >= 0 for which |sum x g|^2 + (c' x - 1)^2 is
    least, whatever c > 0 the sum is held up by.
    """
    units, norms = unit_rows(rows)
    shares = norms.min() / norms
    matrix = np.vstack([units.T, shares])
    target = np.append(np.zeros(rows.shape[1]), 1.0)
    weights = nonnegative_least_squares(matrix, target) / norms
    weights /= weights.sum()
    update = weights @ rows
    slack = rows @ update - update @ update
    allowed = TIGHT * norms * np.linalg.norm(update)
    assert (slack >= -allowed).all()
    assert (np.abs(slack)[weights > 0] <= allowed[weights > 0]).all()
    return weights


def dual_cone_weights(rows: Array, least: Array) -> Array:
    """argmin |sum v g| over v >= least."""
    units, norms = unit_rows(rows)
    least = least * norms
    extra = nonnegative_least_squares(units.T, -(least @ units))
    return (least + extra) / norms


def power_equation(rows: Array, alpha: float) -> Array:
    """w > 0 with K w = w^(-1 / alpha), by Newton's method.

    Of the strictly convex w' K w / 2 - sum (w^p - 1) / p, p = 1 - 1 / alpha,
    in multiples x of the weights that orthogonal gradients would have.
    """
    scale = np.linalg.norm(rows, axis=1) ** (-2 * alpha / (1 + alpha))
    scaled = rows * scale[:, None]
    factor = scale ** (1 - 1 / alpha)
    gram = scaled @ scaled.T
    power = 1 - 1 / alpha

    def objective(x: Array) -> float:
        return x @ gram @ x / 2 - factor @ special.boxcox(x, power)

    x = np.ones(len(rows))
    for _ in range(200):
        slope = gram @ x - factor * x ** (power - 1)
        hessian = gram + np.diag(factor * x ** (power - 2) / alpha)
        step = -np.linalg.solve(hessian, slope)
        length = 1.0
        while (x + length * step <= 0).any() or objective(
            x + length * step
        ) > objective(x) + 1e-12 * abs(objective(x)):
            length /= 2
        x = x + length * step
        if np.abs(step / x).max() < 1e-14:
            break
    weights = scale * x
    norms = np.linalg.norm(rows, axis=1)
    residual = rows @ (weights @ rows) - weights ** (-1 / alpha)
    assert (np.abs(residual) <= TIGHT * norms * (weights @ norms)).all()
    return weights


# -- methods -----------------------------------------------------------------


def pcgrad(rows: Array) -> Array:
    """Each gradient loses its part along those that oppose it."""
    update = 0
    for own, visits in zip(rows, cases.orders(len(rows)), strict=True):
        for other in rows[visits]:
            own = own - min(own @ other, 0) / (other @ other) * other
        update = update + own
    return weights_of_update(rows, update)


def cagrad(rows: Array, c: float) -> Array:
    """1 / T + lambda w with |lambda sum w g| = c |g_0|, g_0 the mean.

    w minimises g_0' J'w + phi |J'w| over the simplex, phi = c |g_0|. If the
    answer has |J'w| = s, it minimises g_0' J'w + phi |J'w|^2 / (2 s) too: the
    point of the hull of the g_t + (s / phi) g_0 nearest to zero. That leaves
    one equation in s.
    """
    mean = rows.mean(axis=0)
    phi = c * np.linalg.norm(mean)

    def point(length: float) -> Array:
        return shortest_in_hull(rows + length / phi * mean)

    def excess(length: float) -> float:
        return np.linalg.norm(point(length) @ rows) - length

    longest = np.linalg.norm(rows, axis=1).max()
    shortest = np.linalg.norm(shortest_in_hull(rows) @ rows)
    length = shortest
    if excess(length) > 0:
        length = optimize.brentq(
            excess, shortest, 2 * longest, xtol=1e-15 * shortest, rtol=1e-15
        )
    inner = point(length)
    weights = 1 / len(rows) + phi / np.linalg.norm(inner @ rows) * inner
    update = weights @ rows
    gains = rows @ update
    sizes = np.linalg.norm(rows, axis=1) * np.linalg.norm(update)
    slack = gains - gains[inner > 0].min()
    assert (slack >= -TIGHT * sizes).all()
    assert (slack <= TIGHT * sizes)[inner > 0].all()
    return weights


def mgda_l2(rows: Array) -> Array:
    """The shortest in the hull of unit gradients, and their weights."""
    return shortest_in_hull(unit_rows(rows)[0])


def imtlg(rows: Array) -> Array:
    """Weights, summing to one, with equal projections on all gradients."""
    units, norms = unit_rows(rows)
    weights = np.linalg.solve(units @ units.T, np.ones(len(rows))) / norms
    weights /= weights.sum()
    return weights


def aligned_mtl(rows: Array, scale_mode: str, preference: Array) -> Array:
    """Gradients whose principal components are made equally long."""
    left, sizes, _ = np.linalg.svd(rows, full_matrices=False)
    scale = {"min": np.min, "median": np.median, "rmse": np.mean}[scale_mode]
    return np.sqrt(scale(sizes**2)) * left @ (preference @ left / sizes)


def upgrad(rows: Array, preference: Array) -> Array:
    """Sum of the projections of each gradient onto the dual cone."""
    return sum(dual_cone_weights(rows, row) for row in np.diag(preference))


def config(rows: Array, preference: Array) -> Array:
    """The direction of these cosines, as long as all projections on it."""
    units, _ = unit_rows(rows)
    direction = np.linalg.pinv(units) @ preference
    direction /= np.linalg.norm(direction)
    return weights_of_update(rows, (rows @ direction).sum() * direction)


def krum(rows: Array, num_byzantine: int, num_selected: int) -> Array:
    """Mean of the gradients with the nearest neighbours.

    NaN where rounding may decide which these are.
    """
    size = len(rows)
    gaps = ((rows[:, None] - rows[None]) ** 2).sum(axis=-1)
    near = np.sort(gaps, axis=1)[:, 1 : size - num_byzantine - 1]
    scores = near.sum(axis=1)
    order = np.argsort(scores)
    last, first_out = scores[order[num_selected - 1 : num_selected + 1]]
    if first_out - last < 1e-4 * first_out:
        return np.full(size, np.nan)
    return np.isin(np.arange(size), order[:num_selected]) / num_selected


def grad_vac(rows: Array, beta: float) -> Array:
    """The step of two tasks that comes after one with `cases.before`."""
    (first, second), _ = unit_rows(cases.before(rows))
    target = beta * (first @ second)
    (first, second), norms = unit_rows(rows)
    cosine = first @ second
    if cosine >= target:
        return np.ones(2)
    sine, target_sine = np.sqrt(1 - cosine**2), np.sqrt(1 - target**2)
    share = (target * sine - cosine * target_sine) / target_sine
    return 1 + share * norms[::-1] / norms


def db_mtl(rows: Array) -> Array:
    """Gradients of the log losses, made as long as the longest."""
    factors = 1 / (cases.losses(len(rows)) + 1e-8)
    norms = np.linalg.norm(rows * factors[:, None], axis=1)
    return factors * norms.max() / norms


def with_main(rows: Array, rule: Callable[[Array, Array], Array]) -> Array:
    """The main gradient, of task 0, and a rule's share of each other one."""
    main, *others = rows
    update = main + sum(rule(main, other) for other in others)
    return weights_of_update(rows, update)


def project(main: Array, other: Array) -> Array:
    return other - min(other @ main, 0) / (main @ main) * main


def orthogonal(main: Array, other: Array) -> Array:
    return other - other @ main / (main @ main) * main


def if_it_agrees(main: Array, other: Array) -> Array:
    return other if other @ main > 0 else 0 * other


def as_it_agrees(main: Array, other: Array) -> Array:
    (u, v), _ = unit_rows(np.stack([other, main]))
    return max(u @ v, 0) * other


def ones(rows: Array) -> Array:
    return np.ones(len(rows))


def preference(rows: Array) -> Array:
    return cases.preference(len(rows))


METHODS: dict[str, Callable[[Array], Array]] = {
    "mgda": shortest_in_hull,
    "mgda_l2": mgda_l2,
    "pcgrad": pcgrad,
    "cagrad_0.1": lambda rows: cagrad(rows, 0.1),
    "cagrad_0.4": lambda rows: cagrad(rows, 0.4),
    "cagrad_0.9": lambda rows: cagrad(rows, 0.9),
    "imtlg": imtlg,
    "nash_mtl": lambda rows: power_equation(rows, 1.0),
    "fair_grad_0.5": lambda rows: power_equation(rows, 0.5),
    "fair_grad_1": lambda rows: power_equation(rows, 1.0),
    "fair_grad_2": lambda rows: power_equation(rows, 2.0),
    "fair_grad_10": lambda rows: power_equation(rows, 10.0),
    "aligned_mtl_min": lambda rows: aligned_mtl(rows, "min", ones(rows)),
    "aligned_mtl_median": lambda rows: aligned_mtl(rows, "median", ones(rows)),
    "aligned_mtl_rmse": lambda rows: aligned_mtl(rows, "rmse", ones(rows)),
    "aligned_mtl_preference": lambda rows: aligned_mtl(
        rows, "min", preference(rows)
    ),
    "upgrad": lambda rows: upgrad(rows, ones(rows) / len(rows)),
    "upgrad_preference": lambda rows: upgrad(rows, preference(rows)),
    "dual_proj": lambda rows: dual_cone_weights(rows, ones(rows) / len(rows)),
    "dual_proj_preference": lambda rows: dual_cone_weights(
        rows, preference(rows)
    ),
    "config": lambda rows: config(rows, ones(rows)),
    "config_preference": lambda rows: config(rows, preference(rows)),
    "krum": lambda rows: krum(rows, 0, 1),
    "krum_multi": lambda rows: krum(rows, 1, 2),
    "grad_vac": lambda rows: grad_vac(rows, 0.5),
    "db_mtl": db_mtl,
    "projection": lambda rows: with_main(rows, project),
    "orthogonal": lambda rows: with_main(rows, orthogonal),
    "unweighted_cosine": lambda rows: with_main(rows, if_it_agrees),
    "weighted_cosine": lambda rows: with_main(rows, as_it_agrees),
}
# Numbers of tasks for which a method has values, where not for all.
ONLY = {
    "krum": (5, 8, 16, 40),
    "krum_multi": (5, 8, 16, 40),
    "grad_vac": (2,),
    "aligned_mtl_preference": (5,),
    "upgrad_preference": (5,),
    "dual_proj_preference": (5,),
    "config_preference": (5,),
}


def make(num_tasks: int) -> dict[str, Array]:
    """Weights `[cases, T]` by method."""
    rows = cases.jacobians(num_tasks)
    return {
        name: np.stack([method(jacobian) for jacobian in rows])
        for name, method in METHODS.items()
        if num_tasks in ONLY.get(name, cases.NUM_TASKS)
    }


def main() -> None:
    table = {
        f"{name}/{num_tasks}": weights
        for num_tasks in cases.NUM_TASKS
        for name, weights in make(num_tasks).items()
    }
    np.savez_compressed(PATH, **table)
    print(f"{len(table)} entries, {PATH.stat().st_size:,} bytes in {PATH}")


if __name__ == "__main__":
    main()
