"""Task gradients on JAX against `jax.grad`, and which of them are `None`."""

import keras
import numpy as np
import pytest

if keras.backend.backend() == "jax":
    import jax
    import jax.numpy as jnp

    from keras_mtl.backend import Scalars
    from keras_mtl.backend.jax import LinearPasses

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(
        keras.backend.backend() != "jax", reason="the training step of JAX"
    ),
]


def doubled(x):
    """With a gradient of its own, which is not the true one."""
    function = jax.custom_vjp(lambda x: 2 * x)
    function.defvjp(lambda x: (2 * x, None), lambda _, g: (3 * g,))
    return function(x)


def forward(variables, nudges):
    """Two tasks that share the first variable; `rest` reaches the last."""
    shared, head_a, head_b, idle = variables
    source = jnp.tanh(shared)
    outlet = jax.lax.stop_gradient(source) + nudges[0] if nudges else source
    scanned, _ = jax.lax.scan(lambda c, x: (c * x, c), 1.0, head_b)
    tasks = [
        jnp.sum(outlet * head_a) + 0 * jax.lax.stop_gradient(idle),
        scanned * jnp.sum(doubled(outlet)),
    ]
    sources = [source] if nudges else []
    return Scalars(tasks, [jnp.sum(idle**2)], sources), None


VARIABLES = [
    np.array([0.3, -0.2], "float32"),
    np.array([1.0, 2.0], "float32"),
    np.array([0.5, 3.0, -1.0], "float32"),
    np.array(0.7, "float32"),
]


def make_passes(nudges):
    outputs, pushforward, _ = jax.linearize(
        forward, VARIABLES, nudges, has_aux=True
    )
    program = jax.make_jaxpr(pushforward)(VARIABLES, nudges)
    return LinearPasses(outputs, program, VARIABLES, nudges)


@pytest.mark.parametrize("task", [0, 1])
def test_gradients_of_a_task_are_those_of_jax_grad(task):
    found = make_passes([]).task(task).variables
    expected = jax.grad(lambda v: forward(v, [])[0][0][task])(VARIABLES)
    for ours, theirs in zip(found, expected, strict=True):
        if ours is None:
            assert not np.any(theirs)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_none_where_no_path_leads():
    passes = make_passes([])
    reached = [[g is not None for g in passes.task(t)[0]] for t in (0, 1)]
    # `idle` appears in the first task, but its gradient is stopped there.
    assert reached == [[True, True, False, False], [True, False, True, False]]
    assert [g is not None for g in passes.rest()[0]] == [False] * 3 + [True]


def test_the_sum_of_everything():
    found = make_passes([]).total()

    def everything(variables):
        (tasks, rest, _), _ = forward(variables, [])
        return sum(tasks + rest)

    expected = jax.grad(everything)(VARIABLES)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_above_and_below_the_representation_make_the_whole():
    passes = make_passes([jnp.zeros(2)])
    heads, (signal,) = passes.task(1)
    assert heads[0] is None and heads[2] is not None
    below = passes.below([signal])
    expected = make_passes([]).task(1).variables
    np.testing.assert_allclose(below[0], expected[0], rtol=1e-6)
    assert below[1:] == [None, None, None]


def test_a_task_is_traced_without_the_others():
    """T transpositions of all T heads would make tracing grow with T**2."""
    count = 12
    kernels = [np.ones((3, 3), "float32")] * (count + 1)

    def forward(variables, nudges):
        shared, *heads = variables
        features = jnp.tanh(shared)
        tasks = [jnp.sum(jnp.tanh(features @ head)) for head in heads]
        return Scalars(tasks, [], []), None

    scalars, pushforward, _ = jax.linearize(forward, kernels, [], has_aux=True)
    program = jax.make_jaxpr(pushforward)(kernels, [])
    passes = LinearPasses(scalars, program, kernels, [])

    def products(indices):
        program = jax.make_jaxpr(lambda: [passes.task(t) for t in indices])()
        return str(program).count("dot_general")

    assert products(range(count)) == count * products([0])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
