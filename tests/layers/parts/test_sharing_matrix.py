"""What the layers show of themselves fits the names that they give."""

import keras
import numpy as np
import pytest

from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from tests.layers.cases import CASES


def sharing_matrices(name: str) -> list[SharingMatrix]:
    x = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, CASES[name](inputs))
    model(x, training=True)
    return [
        matrix
        for layer in model._flatten_layers()
        if hasattr(layer, "sharing_matrices")
        for matrix in layer.sharing_matrices()
    ]


@pytest.mark.parametrize("name", CASES)
def test_matrices_are_finite_named_and_within_their_bounds(name):
    for matrix in sharing_matrices(name):
        assert isinstance(matrix, SharingMatrix)
        assert isinstance(matrix.values, np.ndarray)
        shape = (len(matrix.rows), len(matrix.columns))
        assert matrix.values.shape == shape, matrix.title
        assert np.isfinite(matrix.values).all(), matrix.title
        if matrix.low is not None:
            assert matrix.values.min() >= matrix.low - 1e-5, matrix.title
        if matrix.high is not None:
            assert matrix.values.max() <= matrix.high + 1e-5, matrix.title


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
