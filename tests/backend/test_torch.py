"""Task gradients on PyTorch against `torch.autograd`, and which are `None`."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

if keras.backend.backend() == "torch":
    import torch

    from keras_mtl import backend

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(
        keras.backend.backend() != "torch",
        reason="the backward passes of PyTorch",
    ),
]

VALUES = [[0.3, -0.2], [1.0, 2.0], [0.5, 3.0, -1.0], [0.7]]


def make_passes(cuts):
    """Two tasks that share the first variable; `rest` reaches the last."""
    variables = [keras.Variable(np.array(v, "float32")) for v in VALUES]
    shared, head_a, head_b, idle = [v.value for v in variables]

    def forward(cut):
        source = torch.tanh(shared)
        outlet = cut(source) if cuts else source
        tasks = [
            torch.sum(outlet * head_a) + 0 * idle.detach().sum(),
            torch.prod(head_b) * torch.sum(2 * outlet),
        ]
        sources = [source] if cuts else []
        rest = [torch.sum(idle**2)]
        return backend.Scalars(tasks, rest, sources), "carried"

    model = SimpleNamespace(trainable_variables=variables)
    carried, passes = backend.differentiate(forward, model, cuts=cuts)
    assert carried == "carried"
    return passes


def numbers(gradients):
    return [None if g is None else g.numpy() for g in gradients]


def check(found, expected):
    for ours, theirs in zip(numbers(found), expected, strict=True):
        if theirs is None:
            assert ours is None
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)


TANH = np.tanh(VALUES[0])
SLOPE = 1 - TANH**2


def test_gradients_of_tasks():
    passes = make_passes(cuts=False)
    first = [SLOPE * VALUES[1], TANH, None, None]
    check(passes.task(0).variables, first)
    products = [3.0 * -1.0, 0.5 * -1.0, 0.5 * 3.0]
    total = 2 * TANH.sum()
    second = [-1.5 * 2 * SLOPE, None, np.multiply(products, total), None]
    check(passes.task(1).variables, second)
    check(passes.rest().variables, [None, None, None, [1.4]])
    both = [first[0] + second[0], first[1], second[2], [1.4]]
    check(passes.total(), both)


def test_gradients_stop_at_a_cut_and_go_on_below_it():
    passes = make_passes(cuts=True)
    found = passes.task(0)
    check(found.variables, [None, TANH, None, None])
    check(found.cut, [VALUES[1]])
    check(passes.below(found.cut), [SLOPE * VALUES[1], None, None, None])
    check(passes.below([None]), [None, None, None, None])


def test_what_is_read_of_state_stays_what_it_was():
    state = backend.StateVariable(np.ones(2, "float32"), trainable=False)
    before = keras.ops.convert_to_tensor(state)
    state.assign([3.0, 4.0])
    np.testing.assert_array_equal(before.numpy(), [1, 1])
    np.testing.assert_array_equal(state.numpy(), [3, 4])


def test_a_task_that_nothing_leads_to():
    variables = [keras.Variable([1.0])]
    model = SimpleNamespace(trainable_variables=variables)

    def forward(cut):
        return backend.Scalars([torch.tensor(1.0)], [], []), None

    _, passes = backend.differentiate(forward, model)
    assert passes.task(0).variables == [None]
    assert passes.rest() is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
