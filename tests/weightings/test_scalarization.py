"""Scalarizations: the weights are the derivatives of S, in float64 NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.weightings.cosmos import COSMOS
from keras_mtl.weightings.geometric_mean import GeometricMean
from keras_mtl.weightings.pbi import PBI
from keras_mtl.weightings.scale_invariant import ScaleInvariant
from keras_mtl.weightings.stch import STCH
from keras_mtl.weightings.tchebycheff import Tchebycheff
from tests.weightings.common import weights_of

NAMES = ["a", "b", "c"]
LOSSES = np.array([0.5, 2.0, 1.2])
P = np.array([0.5, 0.2, 0.3])
Z = np.array([0.1, 0.0, 0.4])
U = P / np.linalg.norm(P)
SHAPED = {"preference": list(10 * P), "reference": list(Z)}


def smooth_maximum(losses):
    return 0.3 * np.logaddexp.reduce(P * (losses - Z) / 0.3)


def boundary_intersection(losses):
    along = U @ (losses - Z)
    return along + 5 * np.linalg.norm(losses - Z - along * U)


def with_direction(losses):
    cosine = P @ losses / np.linalg.norm(P) / np.linalg.norm(losses)
    return P @ losses - 2 * cosine


CASES = {
    "stch": (STCH(0.3, **SHAPED), smooth_maximum),
    "tchebycheff": (Tchebycheff(**SHAPED), lambda v: (P * (v - Z)).max()),
    "pbi": (PBI(**SHAPED), boundary_intersection),
    "cosmos": (COSMOS(preference=list(P)), with_direction),
    "geometric_mean": (GeometricMean(), lambda v: np.prod(v) ** (1 / 3)),
    "scale_invariant": (ScaleInvariant(), lambda v: np.log(v).sum()),
}


def derivatives(function, losses, step=1e-6):
    return np.array(
        [
            (function(losses + move) - function(losses - move)) / (2 * step)
            for move in step * np.eye(len(losses))
        ]
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
def test_weights_are_the_derivatives(name, scale):
    weighting, function = CASES[name]
    losses = scale * LOSSES
    np.testing.assert_allclose(
        weights_of(weighting, losses),
        derivatives(function, losses, 1e-6 * scale),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "losses",
    [
        [0.0, 0.0, 0.0],
        [0.0, 1.0, 2.0],
        [1e-30, 1.0, 1e30],
        [1e-38, 1e-38, 1e-38],
        [1e30, 1e30, 1e30],
        [-1.0, 2.0, 0.5],
    ],
)
def test_weights_are_finite(name, losses):
    assert np.isfinite(weights_of(CASES[name][0], losses)).all()


OTHERS = [0, 2]
REST = P[OTHERS] / P[OTHERS].sum()
OF_OTHERS = {"preference": list(REST), "reference": list(Z[OTHERS])}
WITHOUT_THE_SECOND = {
    "stch": STCH(0.3, **OF_OTHERS),
    "tchebycheff": Tchebycheff(**OF_OTHERS),
    "pbi": PBI(**OF_OTHERS),
    "cosmos": COSMOS(preference=list(REST)),
}


@pytest.mark.parametrize("name", WITHOUT_THE_SECOND)
class TestAbsentTasks:
    def weights(self, name, losses, present):
        losses = ops.convert_to_tensor(np.asarray(losses, "float32"))
        weights = CASES[name][0].weights(losses, present=np.array(present))
        return ops.convert_to_numpy(weights)

    @pytest.mark.parametrize("losses", [LOSSES, [-3.0, 0.0, -5.0]])
    def test_are_as_if_they_did_not_exist(self, name, losses):
        losses = np.where([True, False, True], losses, 0.0)
        weights = self.weights(name, losses, [True, False, True])
        expected = weights_of(WITHOUT_THE_SECOND[name], losses[OTHERS])
        np.testing.assert_allclose(weights[OTHERS], expected, rtol=1e-5)
        assert weights[1] == 0

    def test_all(self, name):
        np.testing.assert_array_equal(
            self.weights(name, [0.0, 0.0, 0.0], [False] * 3), np.zeros(3)
        )

    def test_all_that_are_preferred(self, name):
        weighting = type(CASES[name][0])(preference=[0.0, 1.0, 0.0])
        losses = ops.convert_to_tensor(np.asarray(LOSSES, "float32"))
        weights = weighting.weights(losses, present=np.array([1, 0, 1], bool))
        assert np.isfinite(ops.convert_to_numpy(weights)).all()

    def test_none_is_absent(self, name):
        np.testing.assert_allclose(
            self.weights(name, LOSSES, [True] * 3),
            weights_of(CASES[name][0], LOSSES),
            rtol=1e-6,
        )


class TestPreference:
    def test_by_name_is_by_order(self):
        by_name = STCH(0.3, {"c": 3.0, "a": 5, "b": 2}, {"c": 0.4, "a": 0.1})
        by_name.build(NAMES)
        np.testing.assert_array_equal(
            weights_of(by_name, LOSSES), weights_of(CASES["stch"][0], LOSSES)
        )

    def test_none_is_equal(self):
        np.testing.assert_allclose(
            weights_of(STCH(0.3), LOSSES),
            weights_of(STCH(0.3, [2, 2, 2]), LOSSES),
        )

    def test_numpy_arrays(self):
        weighting = PBI(preference=P, reference=Z)
        assert weighting.get_config()["reference"] == list(Z)

    @pytest.mark.parametrize(
        "preference",
        [1.0, [0.0, 0.0], [-1.0, 2.0], "ab", [], ["x"], {"a": np.nan}],
    )
    def test_bad(self, preference):
        with pytest.raises(ValueError, match="`preference` must"):
            STCH(preference=preference)

    @pytest.mark.parametrize(
        "preference, message",
        [
            ([1.0, 2.0], "a number for each of the tasks"),
            ({"a": 1.0, "b": 1.0}, r"without \['c'\]"),
            (
                {"a": 1, "b": 1, "c": 1, "d": 1},
                r"has entries \['d'\] that are no",
            ),
        ],
    )
    def test_of_other_tasks(self, preference, message):
        with pytest.raises(ValueError, match=message):
            STCH(preference=preference).build(NAMES)

    def test_reference_of_other_tasks(self):
        with pytest.raises(
            ValueError, match=r"`reference` has entries \['d'\]"
        ):
            Tchebycheff(reference={"d": 1.0}).build(NAMES)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="JAX has 32 bits"
)
@pytest.mark.parametrize("name", CASES)
def test_float64_stays(name):
    weighting, function = CASES[name]
    weights = weighting.weights(ops.convert_to_tensor(LOSSES, "float64"))
    assert keras.backend.standardize_dtype(weights.dtype) == "float64"
    np.testing.assert_allclose(weights, derivatives(function, LOSSES), 1e-7)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
