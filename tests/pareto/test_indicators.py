"""Distances of fronts, from their definitions and from arithmetic."""

import numpy as np
import pytest

from keras_mtl.pareto import Points
from keras_mtl.pareto import epsilon_additive
from keras_mtl.pareto import epsilon_multiplicative
from keras_mtl.pareto import igd_plus

RNG = np.random.default_rng(0)
POINTS = 1 + RNG.random((20, 3))
FRONT = 1 + np.eye(3) / 2


def test_igd_plus():
    worse = np.maximum(POINTS[None] - FRONT[:, None], 0)
    expected = np.linalg.norm(worse, axis=-1).min(axis=1).mean()
    assert igd_plus(POINTS, FRONT) == pytest.approx(expected, rel=1e-12)
    # Ishibuchi et al., example 4: A is better than B, and is closer.
    front = [[10, 0], [6, 1], [2, 2], [1, 6], [0, 10]]
    assert igd_plus([[4, 2], [3, 3], [2, 4]], front) == pytest.approx(
        1.482842712474619
    )
    assert igd_plus([[8, 2], [4, 4], [2, 8]], front) == pytest.approx(
        2.260112615949154
    )


def test_epsilon_additive():
    worse = (POINTS[None] - FRONT[:, None]).max(axis=-1)
    assert epsilon_additive(POINTS, FRONT) == pytest.approx(
        worse.min(axis=1).max(), rel=1e-12
    )
    assert epsilon_additive(FRONT - 0.25, FRONT) == -0.25


def test_epsilon_multiplicative():
    worse = (POINTS[None] / FRONT[:, None]).max(axis=-1)
    assert epsilon_multiplicative(POINTS, FRONT) == pytest.approx(
        worse.min(axis=1).max(), rel=1e-12
    )


def test_mixed_directions():
    """A task turned around, and of a factor its inverse."""
    signs = np.array([1, -1, 1])
    for indicator in (igd_plus, epsilon_additive):
        assert indicator(
            POINTS * signs, FRONT * signs, maximize=signs < 0
        ) == pytest.approx(indicator(POINTS, FRONT), rel=1e-12)
    assert epsilon_multiplicative(
        POINTS**signs, FRONT**signs, maximize=signs < 0
    ) == pytest.approx(epsilon_multiplicative(POINTS, FRONT), rel=1e-12)


@pytest.mark.parametrize(
    "indicator", [igd_plus, epsilon_additive, epsilon_multiplicative]
)
def test_the_reference_front_is_a_set_without_what_is_dominated(indicator):
    more = np.concatenate([FRONT[:1], FRONT, FRONT + 1])
    assert indicator(POINTS, more) == indicator(POINTS, FRONT)
    assert indicator(FRONT, FRONT) == (indicator is epsilon_multiplicative)


def test_directions_of_the_points_hold_for_the_reference_front():
    points = Points(np.array([[1.0, 2]]), ["a", "b"], np.array([True, True]))
    assert epsilon_additive(points, {"b": [3.0], "a": [1.5]}) == 1


def test_other_tasks():
    with pytest.raises(ValueError, match="`reference_front`.*'a', 'c'"):
        igd_plus({"a": [1.0], "b": [2.0]}, {"a": [1.0], "c": [2.0]})
    with pytest.raises(ValueError, match="`reference_front`.*3 columns"):
        igd_plus([[1.0, 2]], [[1.0, 2, 3]])


def test_a_factor_needs_what_is_above_zero():
    with pytest.raises(ValueError, match="`points`.*0 of task 'b'"):
        epsilon_multiplicative(
            {"a": [1.0], "b": [0.0]}, {"a": [1.0], "b": [2.0]}, False
        )
    with pytest.raises(ValueError, match="`reference_front`.*-2 of column 1"):
        epsilon_multiplicative([[1.0, 2]], [[1.0, -2]])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
