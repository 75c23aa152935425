"""Tests of Cholesky factors with pivots."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.solvers.pivoted_cholesky import pivoted_cholesky

FLOOR = 1e-6


def unit_rows(size, rank):
    rows = np.random.default_rng(size).standard_normal((size, rank))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def factor_of(matrix):
    matrix = ops.convert_to_tensor(matrix.astype("float32"))
    factor = pivoted_cholesky(matrix, FLOOR)
    return ops.convert_to_numpy(factor).astype("float64")


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_product_is_the_matrix(rank):
    rows = unit_rows(6, rank)
    factor = factor_of(rows @ rows.T)
    np.testing.assert_allclose(factor.T @ factor, rows @ rows.T, atol=1e-6)
    assert not factor[rank:].any()


def test_entries_of_a_column_that_is_no_pivot_solve_the_system():
    rows = unit_rows(4, 6)
    matrix = np.zeros((5, 5))
    matrix[:4, :4] = rows @ rows.T
    matrix[:4, 4] = matrix[4, :4] = vector = np.arange(1.0, 5.0)
    factor = factor_of(matrix)
    np.testing.assert_allclose(
        factor[:4, :4].T @ factor[:4, 4], vector, rtol=1e-5
    )


def test_not_a_number_stays():
    assert np.isnan(factor_of(np.full((2, 2), np.nan))).any()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
