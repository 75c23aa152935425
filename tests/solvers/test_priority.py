"""Tests of directions in which all tasks gain, against SciPy in float64."""

import functools

import numpy as np
import pytest
from keras import ops
from scipy.optimize import nnls

from keras_mtl import testing
from keras_mtl.solvers.priority import priority_weights


@functools.cache
def solver(tau, jit_compile):
    return testing.compiled(
        functools.partial(priority_weights, tau=tau), jit_compile=jit_compile
    )


def found_of(rows, tau, jit_compile=False):
    """Directions `[B, n]` of float32 gradients, and their squared lengths."""
    grams = ops.convert_to_tensor(rows @ rows.transpose(0, 2, 1))
    found = solver(tau, jit_compile)(grams)
    weights, squares = map(ops.convert_to_numpy, found)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    return np.einsum("bt,btn->bn", weights, rows.astype("float64")), squares


def direction(rows, tau):
    """As chapter 23 of Lawson and Hanson has it.

    The main gradient where no direction meets the conditions.
    """
    main, others = rows[0], rows[1:]
    lack = tau * (others**2).sum(axis=1) - others @ main
    columns = np.vstack([others.T, lack])
    last = np.eye(len(columns))[-1]
    gap = columns @ nnls(columns, last)[0] - last
    if np.linalg.norm(gap) < 1e-8:
        return main
    return main - gap[:-1] / gap[-1]


def test_xla_changes_nothing():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 6, 3)).astype("float32")
    updates, squares = found_of(rows, 0.02)
    found, found_squares = found_of(rows, 0.02, jit_compile=True)
    np.testing.assert_allclose(found_squares, squares, rtol=4e-3)
    error = np.linalg.norm(found - updates, axis=1)
    assert (error <= 4e-3 * np.linalg.norm(updates, axis=1)).all()


@pytest.mark.parametrize("width", [1, 3, 9])
@pytest.mark.parametrize("tau", [0.0, 0.02, 0.5])
def test_random(width, tau):
    """Narrow cones are told from empty ones, with few coordinates, too.

    In three a direction of 0.005 of the main gradient was taken for none, and
    one of 60 times it, at a tau of 0.5, for impossible.
    """
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 6, width)).astype("float32")
    found, squares = found_of(rows, tau)
    nothing = narrow = 0
    for gradients, update, square in zip(
        rows.astype("float64"), found, squares
    ):
        expected = direction(gradients, tau)
        length = np.linalg.norm(expected)
        main = np.linalg.norm(gradients[0])
        if length < 1e-6 * main:
            nothing += 1
            assert square == 0
            continue
        narrow += length < 0.05 * main or length > 20 * main
        np.testing.assert_allclose(square, length**2, rtol=2e-3)
        assert np.linalg.norm(update - expected) < 2e-3 * length
    assert (nothing > 0) == (tau == 0 and width < 9)
    assert narrow > 0 or width != 3 or tau == 0.02


def test_absent_task_lacks_nothing():
    rows = np.array([[[1.0, 0.0], [-1.0, 1.0], [0.0, 0.0]]], "float32")
    found, squares = found_of(rows, 0.0)
    np.testing.assert_allclose(found, [[0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(squares, [[0.5]], rtol=1e-6)


def test_opposed_tasks_leave_the_main_gradient():
    rows = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]], "float32")
    found, squares = found_of(rows, 0.5)
    np.testing.assert_array_equal(found, rows[:, 0])
    np.testing.assert_array_equal(squares, [[1.0]])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
