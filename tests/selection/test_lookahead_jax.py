"""Task gradients on JAX, and which of them are `None`."""

import keras
import numpy as np
import pytest

if keras.backend.backend() == "jax":
    import jax
    import jax.numpy as jnp

    from keras_mtl.selection.lookahead_jax import compiled
    from keras_mtl.selection.lookahead_jax import task_gradients

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX"),
]


def losses(values):
    shared, left, table = values
    picked = table[jnp.array([1, 1])]
    return [
        jnp.sum(shared * left),
        jnp.sum(shared**2) + jnp.sum(picked),
    ]


def test_gradients():
    values = [jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]), jnp.ones((3, 1))]
    results, rows = task_gradients(losses, values)
    np.testing.assert_allclose(results, [11, 7])
    np.testing.assert_allclose(rows[0][0], [3, 4])
    np.testing.assert_allclose(rows[0][1], [1, 2])
    assert rows[0][2] is None and rows[1][1] is None
    np.testing.assert_allclose(rows[1][0], [2, 4])
    np.testing.assert_allclose(rows[1][2], [[0], [2], [0]])


@pytest.mark.parametrize(
    "jit_compile, run_eagerly", [(True, False), (False, False), (True, True)]
)
def test_compiled_as_the_model(jit_compile, run_eagerly):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(
        "sgd",
        "mse",
        run_eagerly=run_eagerly,
        jit_compile=jit_compile and not run_eagerly,
    )
    traced = []

    def function(x):
        traced.append(isinstance(x, jax.core.Tracer))
        return x + 1

    assert compiled(function, model)(jnp.array(1.0)) == 2.0
    assert traced == [jit_compile and not run_eagerly]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
