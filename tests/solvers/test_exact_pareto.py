"""The programmes of EPO against SciPy's solutions of the authors' ones."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import linprog

from keras_mtl import testing
from keras_mtl.solvers.exact_pareto import exact_pareto_weights
from keras_mtl.solvers.exact_pareto import locate
from keras_mtl.solvers.min_norm import min_norm_weights
from tests.compiling import compiled_on_jax

pytestmark = pytest.mark.backend

TOLERANCE = 1e-4
SOLVER = compiled_on_jax(
    lambda gram, losses, preference, present: exact_pareto_weights(
        gram, losses, preference, TOLERANCE, present
    )
)
# Gram matrices come in one number, so that each size is compiled once.
COUNT = len(testing.jacobians((3,))) + 1
EPSILON = 2.0**-23
# By name, from a generator and the number of tasks.
LOSSES = {
    "random": lambda rng, size: rng.uniform(0.1, 2, size),
    "equal": lambda rng, size: np.ones(size),
    "nearly_equal": lambda rng, size: 1 + 5e-3 * rng.standard_normal(size),
    "one_zero": lambda rng, size: np.r_[0, rng.uniform(0.1, 2, size - 1)],
    "one_large": lambda rng, size: np.r_[np.ones(size - 1), 1e3],
    "all_zero": lambda rng, size: np.zeros(size),
}


def weights_of(grams, losses, preference, present=None):
    """Task weights `[COUNT, T]`."""
    tensors = [
        ops.convert_to_tensor(np.array(value, "float32"))
        for value in (grams, losses, preference)
    ]
    if present is None:
        present = np.ones(len(losses), bool)
    weights = SOLVER(*tensors, ops.convert_to_tensor(present))
    return ops.convert_to_numpy(weights).astype("float64")


def weights_of_one(gram, *arguments):
    grams = np.broadcast_to(gram, (COUNT, *np.shape(gram)))
    return weights_of(grams, *arguments)[0]


def anchors_of(losses, preference):
    """Non-uniformity and anchors, as published, in float64."""
    preference = preference / np.linalg.norm(preference)
    parts = preference * losses
    total = parts.sum()
    shares = parts / total if total else np.full(len(losses), 1 / len(losses))
    logs = np.log(np.maximum(shares, EPSILON) * len(losses))
    ahead = logs - shares @ logs
    # float64 rounds losses on the ray off it, too.
    ahead[np.abs(ahead) < 1e-12] = 0
    return shares @ logs, preference * ahead, parts >= parts.max() * (1 - 1e-6)


def programme(gram, losses, preference):
    """The authors' programme: objective c, and lower bounds b of A w."""
    mean, anchors, is_worst = anchors_of(losses, preference)
    lengths = np.sqrt(np.diagonal(gram))
    along = gram @ anchors
    if mean <= TOLERANCE:
        matrix = np.vstack([gram, along])
        bounds = np.append(np.zeros(len(gram)), min(along.max(), 0))
        return gram.sum(axis=0), matrix, bounds
    # What of the signs is rounding in float32.
    noise = 4 * len(gram) * EPSILON * lengths * (np.abs(anchors) @ lengths)
    falls = along > noise
    bounds = np.where(falls, -np.inf, np.minimum(along, 0))
    bounds[is_worst] = 0
    return along, gram, bounds if falls.any() else np.zeros(len(gram))


def check(name, gram, losses, preference, weights):
    """The weights are feasible, and as good as SciPy's where it has some."""
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
    assert weights.min() >= 0
    gram = gram.astype("float64")
    gram = gram / (gram.max() or 1)
    objective, matrix, bounds = programme(gram, losses, preference)
    lengths = np.sqrt(np.diagonal(gram))
    lengths = np.where(lengths == 0, 1, lengths)
    rows = np.append(lengths, np.abs(matrix[len(lengths) :]).max(axis=1))
    rows = np.where(rows == 0, 1, rows)
    matrix, bounds = matrix / rows[:, None], bounds / rows
    scale = max((weights * lengths).max(), 1e-3)
    assert (matrix @ weights - bounds).min() > -2e-3 * scale, name
    # HiGHS has absolute tolerances, so it sees unit gradients as well.
    inverse = lengths.min() / lengths
    largest = np.abs(objective).max() or 1
    finite = np.isfinite(bounds)
    best = linprog(
        -objective * inverse / largest,
        -(matrix * inverse)[finite],
        -bounds[finite],
        inverse[None],
        [1],
    )
    # Where float32 leaves none, the fall-back serves all tasks: seen above.
    if best.status == 0 and not name.startswith("nearly_opposed"):
        gap = -best.fun - objective @ weights / largest
        assert gap < 2e-3 * scale, name


def zoo(size):
    """All of one shape, with scales far apart in one row and another."""
    rows = {
        name: np.pad(matrix, ((0, 0), (0, 2 * size - matrix.shape[1])))
        for name, matrix in testing.jacobians((size,)).items()
    }
    apart = rows[f"normal_{size}"].copy()
    apart[0] *= 1e6
    return {**rows, "apart": apart}


@pytest.mark.parametrize("losses", LOSSES)
def test_three_tasks(losses):
    _check_zoo(3, losses)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 5, 8])
def test_two_to_eight_tasks(size):
    for losses in LOSSES:
        _check_zoo(size, losses)


def _check_zoo(size, kind):
    rng = np.random.default_rng(size)
    losses = LOSSES[kind](rng, size)
    preference = np.ones(size)
    if kind == "random":
        preference = rng.dirichlet(np.ones(size))
    rows = zoo(size)
    grams = np.stack([matrix @ matrix.T for matrix in rows.values()])
    found = weights_of(grams, losses, preference)
    for name, gram, weights in zip(rows, grams, found, strict=True):
        check(name, gram, losses, preference, weights)


def test_anchors_are_derivatives_of_the_non_uniformity():
    losses, preference = np.array([0.3, 1.1, 0.7]), np.array([2.0, 1.0, 0.5])
    place = locate(*map(ops.convert_to_tensor, (losses, preference)))

    def non_uniformity(values):
        shares = preference * values / (preference @ values)
        return shares @ np.log(3 * shares)

    np.testing.assert_allclose(
        ops.convert_to_numpy(place.non_uniformity)[0],
        non_uniformity(losses),
        rtol=1e-5,
    )
    slopes = [
        (non_uniformity(losses + d) - non_uniformity(losses - d)) / 2e-6
        for d in 1e-6 * np.eye(3)
    ]
    anchors = ops.convert_to_numpy(place.anchors)
    length = np.linalg.norm(preference) / (preference @ losses)
    np.testing.assert_allclose(anchors * length, slopes, rtol=1e-4)


def test_a_balance_by_hand():
    """Orthogonal gradients: the task that is behind has all of the weight."""
    weights = weights_of_one(np.eye(3), [1.0, 2.0, 1.5], np.ones(3))
    np.testing.assert_allclose(weights, [0, 1, 0], atol=1e-6)


def test_ascent_is_controlled():
    """The loss that is ahead may rise, and the one behind falls fastest."""
    gram = np.array([[1.0, -0.8, 0.0], [-0.8, 1.0, 0.0], [0.0, 0.0, 1.0]])
    weights = weights_of_one(gram, [0.1, 1.0, 0.1], np.ones(3))
    np.testing.assert_allclose(weights, [0, 1, 0], atol=1e-6)
    # On the ray none rises.
    on_ray = weights_of_one(gram, np.ones(3), np.ones(3))
    assert (gram @ on_ray).min() > -1e-6


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_scale_changes_nothing(scale):
    rows = testing.jacobians((3,))["normal_3"].astype("float64")
    losses, preference = [0.3, 1.0, 2.0], [1.0, 2.0, 1.0]
    expected = weights_of_one(rows @ rows.T, losses, preference)
    scaled = scale * rows
    found = weights_of_one(scaled @ scaled.T, losses, preference)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    larger = np.multiply(losses, scale)
    found = weights_of_one(rows @ rows.T, larger, preference)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_descent_without_a_solution_is_that_of_mgda():
    """Near the ray, where what raises no loss leads away from it."""
    rows = np.array([[-2.0, 2.0, 2.0], [-1.0, 0.0, -2.0], [1.0, 2.0, 2.0]])
    losses, preference = np.array([2, 0.1, 0.1]), np.array([0.504, 9.92, 9.92])
    gram = rows @ rows.T
    _, matrix, bounds = programme(gram, losses, preference)
    problem = linprog(np.zeros(3), -matrix, -bounds, np.ones((1, 3)), [1])
    assert problem.status == 2
    found = weights_of_one(gram, losses, preference)
    gram = ops.convert_to_tensor(gram.astype("float32"))
    expected = ops.convert_to_numpy(min_norm_weights(gram))
    np.testing.assert_allclose(found, expected, atol=1e-5)


class TestTasksThatTakeNoPart:
    """The others' weights are those of a programme without them."""

    rows = testing.jacobians((3,))["normal_3"]
    losses = np.array([0.4, 1.0, 2.0])

    def check_others(self, weights, others, preference):
        rows = self.rows[others]
        check("two", rows @ rows.T, self.losses[others], preference, weights)

    def test_absent(self):
        rows = self.rows * [[1], [0], [1]]
        losses = self.losses * [1, 0, 1]
        present = np.array([True, False, True])
        weights = weights_of_one(rows @ rows.T, losses, [1, 2, 3], present)
        assert weights[1] == 0
        self.check_others(weights[[0, 2]], [0, 2], np.array([1, 3]))

    def test_no_preference(self):
        gram = self.rows @ self.rows.T
        weights = weights_of_one(gram, self.losses, [1, 3, 0])
        assert weights[2] == 0
        self.check_others(weights[:2], [0, 1], np.array([1, 3]))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
