"""Loops of Keras, and those of Python that stand for them on OpenVINO."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.utils import loops


class Pair(NamedTuple):
    old: np.ndarray
    new: np.ndarray


def numbers(pair: Pair) -> list[float]:
    return [float(ops.convert_to_numpy(value)) for value in pair]


def start() -> Pair:
    return Pair(ops.convert_to_tensor(1.0), ops.convert_to_tensor(1.0))


@pytest.mark.parametrize("loop", [ops.fori_loop, loops.eager_fori_loop])
def test_each_turn_needs_what_the_one_before_has_made(loop):
    """Fibonacci's numbers."""

    def turn(index, pair):
        pair = Pair(*pair)
        return Pair(pair.new, pair.old + pair.new)

    assert numbers(loop(0, 7, turn, start())) == [21, 34]


@pytest.mark.parametrize("loop", [ops.while_loop, loops.eager_while_loop])
@pytest.mark.parametrize(
    ("most", "expected"), [(None, [55, 89]), (3, [3, 5]), (0, [1, 1])]
)
def test_ends_where_the_condition_does_or_after_so_many(loop, most, expected):
    found = loop(
        lambda old, new: new < 60,
        lambda old, new: (new, old + new),
        tuple(start()),
        maximum_iterations=most,
    )
    assert numbers(found) == expected


@pytest.mark.parametrize("cond", [ops.cond, loops.eager_cond])
def test_one_of_two_branches(cond):
    for pred in (True, False):
        found = cond(ops.convert_to_tensor(pred), lambda: 1.0, lambda: 2.0)
        assert float(ops.convert_to_numpy(found)) == (1 if pred else 2)


def test_keras_does_it_where_it_does_it_well():
    eager = keras.backend.backend() == "openvino"
    assert (loops.while_loop is ops.while_loop) != eager


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
