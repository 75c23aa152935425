"""Rows of an embedding table as lookups hand them back."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.backend.slices import Slices

pytestmark = pytest.mark.backend


def test_rows_that_occur_often_add_up():
    ids = ops.convert_to_tensor([2, 0, 2], "int32")
    values = ops.convert_to_tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]])
    table = Slices(ids, values, num_rows=4, source="here").dense()
    expected = [[3, 4], [0, 0], [11, 22], [0, 0]]
    np.testing.assert_allclose(ops.convert_to_numpy(table), expected)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
