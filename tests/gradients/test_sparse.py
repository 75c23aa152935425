"""Gradients of embedding tables as rows, against tables in NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.gradients import gram
from keras_mtl.gradients import sparse
from keras_mtl.gradients.sparse import Slices
from keras_mtl.gradients.sparse import SparseGradient

pytestmark = pytest.mark.backend

NUM_ROWS = 7


def make_slices(seed, ids, source=None, ids_dtype="int32"):
    """Random slices and the table that they stand for."""
    values = np.random.default_rng(seed).normal(size=(len(ids), 3))
    values = values.astype("float32")
    table = np.zeros((NUM_ROWS, 3))
    np.add.at(table, ids, values.astype("float64"))
    slices = Slices(
        ops.convert_to_tensor(ids, ids_dtype),
        ops.convert_to_tensor(values),
        NUM_ROWS,
        source,
    )
    return slices, table


def numpy(gradient):
    return ops.convert_to_numpy(sparse.dense(gradient))


def test_slices_with_the_same_row_twice_add_up():
    slices, table = make_slices(0, [5, 2, 5])
    np.testing.assert_allclose(numpy(slices), table, rtol=1e-6)


# Apart, the same, all rows, more lookups than rows, and row 0, which stands
# for slots that are left over.
@pytest.mark.parametrize(
    "first, second",
    [
        ([1, 4, 4], [0, 6]),
        ([3, 2, 3], [3, 2, 3]),
        (range(7), [6]),
        ([1, 2] * 20, [2, 0] * 9),
        ([0], [0]),
    ],
)
@pytest.mark.parametrize("same_source", [False, True])
# JAX has no int64 by default, and says so.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
def test_row_gradients_stand_for_the_same_tables(first, second, same_source):
    if same_source:
        second = first
    slices, tables = zip(
        make_slices(0, list(first), "one"),
        make_slices(1, list(second), "one" if same_source else "two", "int64"),
    )
    column = sparse.to_sparse_gradients([slices[0], None, slices[1]])
    assert column[1] is None
    assert column[0].rows is column[2].rows
    assert len(column[0].values) <= NUM_ROWS
    np.testing.assert_allclose(numpy(column[0]), tables[0], atol=1e-5)
    np.testing.assert_allclose(numpy(column[2]), tables[1], atol=1e-5)


def test_a_table_among_them_makes_tables_of_all():
    slices, table = make_slices(0, [5, 2, 5])
    column = sparse.to_sparse_gradients([slices, ops.ones((NUM_ROWS, 3))])
    assert not any(isinstance(g, SparseGradient) for g in column)
    np.testing.assert_allclose(numpy(column[0]), table, rtol=1e-6)


def test_sums_of_half_precision_are_exact_and_come_back_in_it():
    # In float16, 2048 + 1 is 2048.
    values = np.array([[2048.0], [1.0], [1.0]], "float16")
    ids = ops.convert_to_tensor([1, 1, 1], "int32")
    slices = Slices(ids, ops.convert_to_tensor(values), 2, None)
    (gradient,) = sparse.to_sparse_gradients([slices])
    assert float(ops.max(gradient.values)) == 2050.0
    assert str(np.dtype(numpy(gradient).dtype)) == "float16"


def test_add_and_rows_of_a_table():
    (gradient,), _ = zip(make_slices(0, [5, 2, 5]))
    (gradient,) = sparse.to_sparse_gradients([gradient])
    table = np.random.default_rng(1).normal(size=(NUM_ROWS, 3))
    table = table.astype("float32")
    np.testing.assert_allclose(
        sparse.add(gradient, ops.convert_to_tensor(table)),
        table + numpy(gradient),
        rtol=1e-5,
    )
    picked = gradient.rows.of(ops.convert_to_tensor(table))
    np.testing.assert_allclose(
        np.sum(picked, axis=0), table[2] + table[5], rtol=1e-5
    )


@pytest.mark.parametrize("whole", [0, 1, 2])
def test_inner_products_and_sums_equal_those_of_tables(whole):
    """With gradients of whole tables among them, as a moving average is."""
    slices, tables = zip(
        make_slices(0, [1, 4, 4], "one"), make_slices(1, [0, 4, 6], "two")
    )
    column = sparse.to_sparse_gradients(slices)
    averages = np.random.default_rng(2).normal(size=(whole, NUM_ROWS, 3))
    column += [ops.convert_to_tensor(a, "float32") for a in averages]
    rows = np.array([*tables, *averages]).reshape(2 + whole, -1)
    np.testing.assert_allclose(
        gram.column_gram([*column, None])[:-1, :-1], rows @ rows.T, atol=1e-5
    )
    weights = np.arange(2.0 + whole).astype("float32") - 1
    np.testing.assert_allclose(
        gram.weighted_sum(column, ops.convert_to_tensor(weights)),
        (weights @ rows).reshape(NUM_ROWS, 3),
        atol=1e-5,
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
