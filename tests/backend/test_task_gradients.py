"""Gradients of several losses of the same values."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import backend

pytestmark = pytest.mark.backend


def losses(values):
    shared, left, table = values
    picked = ops.take(table, [1, 1], axis=0)
    return [
        ops.sum(shared * left),
        ops.sum(shared**2) + ops.sum(picked),
    ]


def numbers(tensors):
    return [None if t is None else ops.convert_to_numpy(t) for t in tensors]


def test_are_none_where_no_path_leads():
    given = [[1.0, 2.0], [3.0, 4.0], np.ones((3, 1), "float32")]
    values = [ops.convert_to_tensor(value, "float32") for value in given]
    results, rows = backend.task_gradients(losses, values)
    np.testing.assert_allclose(numbers(results), [11, 7])
    first, second = numbers(rows[0]), numbers(rows[1])
    np.testing.assert_allclose(first[0], [3, 4])
    np.testing.assert_allclose(first[1], [1, 2])
    assert first[2] is None and second[1] is None
    np.testing.assert_allclose(second[0], [2, 4])
    # Those of an embedding are those of the whole table.
    np.testing.assert_allclose(second[2], [[0], [2], [0]])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
