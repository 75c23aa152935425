"""Asking a function what it returns for a batch of another size."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.utils.value_shape import is_by_example
from keras_mtl.utils.value_shape import unusual_size
from keras_mtl.utils.value_shape import value_shape

pytestmark = pytest.mark.backend

ONE_ROW = np.zeros((1, 4), "float32")


def shape_of(function, size=10):
    return value_shape(function, ONE_ROW, ONE_ROW, size)


def test_the_size_is_no_length_of_the_shapes():
    assert unusual_size((None, 4), (2, 3)) == 10
    assert unusual_size((0,), (1,)) == 4


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda y, p: ops.mean(y - p, axis=-1), (10,)),
        (lambda y, p: y - p, (10, 4)),
        (lambda y, p: ops.mean(y - p), ()),
        (lambda y, p: ops.mean(y - p, axis=0), (4,)),
        (lambda y, p: 1.0, ()),
    ],
)
def test_shapes_of_what_is_returned(function, shape):
    assert shape_of(function) == shape


def test_a_function_that_needs_the_values_cannot_be_asked():
    assert shape_of(lambda y, p: np.asarray(y).max() * p) is None


def test_the_batch_comes_first():
    assert is_by_example((10, 4), 10)
    assert is_by_example((None,), 10)
    assert not is_by_example((4,), 10)
    assert not is_by_example((), 10)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
