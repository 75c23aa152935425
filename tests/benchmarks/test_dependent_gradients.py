import numpy as np
import pytest

from benchmarks import dependent_gradients
from tests.aggregators import methods
from tests.aggregators.methods import METHODS

# Those that solve a system or look for an active set.
SOLVING = (
    "UPGrad()",
    "DualProj()",
    "MGDA()",
    "CAGrad(c=1)",
    "NashMTL()",
    "FairGrad()",
    "PCD(main_task)",
    "AlignedMTL()",
)
ROWS = dependent_gradients.jacobians(5, 120)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVING)
def test_bounds(name):
    entry = METHODS[name]
    weights = dependent_gradients.weights_of(entry, ROWS)
    found = dependent_gradients.judge(ROWS, weights)
    assert found.not_finite == 0
    if entry.scale != methods.NO:
        assert found.length < 1
    if entry.non_conflicting == methods.YES:
        # Updates that have a length of their own have rounding of their own.
        if entry.scale != methods.NO:
            assert found.conflict < 1e-3
        else:
            assert found.rounding < 200


def test_jacobians_are_dependent():
    ranks = np.linalg.matrix_rank(ROWS.astype("float64"), rtol=1e-5)
    assert (ranks[:: len(dependent_gradients.KINDS)] <= 4).all()
    assert set(ranks[1 :: len(dependent_gradients.KINDS)]) == {1, 2, 3, 4}
    lengths = np.linalg.norm(ROWS, axis=2)
    assert lengths.min() > 0
    assert lengths.max() / lengths.min() > 1e9


def test_judge():
    rows = np.array([[[3.0, 0.0], [0.0, 1.0]]] * 2, "float32")
    weights = np.array([[2.0, -1.0], [np.nan, 1.0]])
    found = dependent_gradients.judge(rows, weights)
    assert found.not_finite == 1
    assert found.length == pytest.approx(np.hypot(6, 1) / 6)
    assert found.conflict == pytest.approx(1 / 3)
    assert found.rounding == pytest.approx(1 / 7 / 2**-23)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
