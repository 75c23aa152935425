"""Products in full float32, whatever the default of the device."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.backend import full_precision

pytestmark = pytest.mark.backend


def test_the_product_is_that_of_float32():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(4, 1000)).astype("float32")
    with full_precision():
        product = ops.matmul(matrix, matrix.T)
    exact = matrix.astype("float64") @ matrix.T.astype("float64")
    np.testing.assert_allclose(product, exact, atol=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="asks JAX")
def test_jax_is_told_for_this_product_only():
    import jax

    def precisions(function):
        jaxpr = jax.make_jaxpr(function)(np.ones((2, 2), "float32"))
        return [
            e.params["precision"] for e in jaxpr.eqns if "precision" in e.params
        ]

    def inside(x):
        with full_precision():
            return x @ x

    (found,) = precisions(inside)
    assert found is not None and "HIGHEST" in str(found)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
