"""The simplex method against SciPy, and where there is nothing to find."""

import numpy as np
import pytest
from keras import ops
from scipy.optimize import linprog

from keras_mtl.solvers.linear_program import maximize_over_simplex
from tests.compiling import compiled_on_jax

pytestmark = pytest.mark.backend

# All programmes are of one shape, so that they are compiled once.
COUNT, ROWS, SIZE = 60, 7, 5
SOLVER = compiled_on_jax(maximize_over_simplex)


def solve_all(*arrays):
    tensors = [ops.convert_to_tensor(np.array(a, "float32")) for a in arrays]
    solution, solved = map(ops.convert_to_numpy, SOLVER(*tensors))
    return solution, solved[:, 0]


def solve(objective, matrix, bounds, sizes):
    """A small programme, beside others that have a solution.

    The variables and rows that it lacks are zeros.
    """
    rows, size = np.shape(matrix)
    arrays = (
        np.pad(objective, (0, SIZE - size)),
        np.pad(matrix, ((0, ROWS - rows), (0, SIZE - size))),
        np.pad(bounds, (0, ROWS - rows)),
        np.pad(sizes, (0, SIZE - size)),
    )
    shapes = ((COUNT, SIZE), (COUNT, ROWS, SIZE), (COUNT, ROWS), (COUNT, SIZE))
    batch = [np.ones(shape) for shape in shapes]
    batch[2] *= SIZE
    for many, one in zip(batch, arrays, strict=True):
        many[3] = one
    found, solved = solve_all(*batch)
    assert np.delete(solved, 3).all()
    assert not found[3, size:].any() or not solved[3]
    return found[3, :size], solved[3]


def test_by_hand():
    # x + y = 1, x <= 1/4 + y, and x counts most: x = 5/8.
    found, solved = solve([1, 0], [[1, -1]], [0.25], [1, 1])
    np.testing.assert_allclose(found, [0.625, 0.375], rtol=1e-5)
    assert solved


def test_nothing_satisfies_all():
    # x + y <= 1/2 and x + y = 1.
    assert not solve([1, 0], [[1, 1]], [0.5], [1, 1])[1]


def test_not_finite():
    assert not solve([1, np.nan], [[1, 1]], [2], [1, 1])[1]


def test_a_column_of_zeros_stays_zero():
    found, solved = solve([0, 1, 0], [[0, 1, -1]], [0], [0, 1, 1])
    np.testing.assert_allclose(found, [0, 0.5, 0.5], rtol=1e-5)
    assert solved


def test_random_programmes_in_one_batch():
    """Half of them begin at a corner where all constraints meet."""
    rng = np.random.default_rng(0)
    matrix = rng.uniform(-1, 1, (COUNT, ROWS, SIZE)).astype("float32")
    bounds = rng.uniform(0, 1, (COUNT, ROWS)) * (np.arange(COUNT) % 2)[:, None]
    objective = rng.uniform(-1, 1, (COUNT, SIZE)).astype("float32")
    sizes = rng.uniform(0.1, 1, (COUNT, SIZE)).astype("float32")
    found, solved = solve_all(objective, matrix, bounds, sizes)
    for index in range(COUNT):
        best = linprog(
            -objective[index],
            matrix[index],
            bounds[index],
            sizes[index][None],
            [1],
        )
        assert solved[index] == (best.status == 0)
        if solved[index]:
            x = found[index].astype("float64")
            largest = x.max()
            excess = matrix[index] @ x - bounds[index]
            assert x.min() >= 0 and excess.max() < 1e-5 * largest
            np.testing.assert_allclose(sizes[index] @ x, 1, rtol=1e-5)
            gap = -best.fun - objective[index] @ x
            assert abs(gap) < 1e-4 * largest
    assert 20 < solved.sum() < COUNT


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
