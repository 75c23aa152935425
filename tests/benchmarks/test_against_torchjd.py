import numpy as np
import pytest

from benchmarks import against_torchjd
from benchmarks.torchjd_methods import PAIRS
from tests.tiers import slow_except

NAMES = ["mean", "pcgrad", "mgda", "nash_mtl", "krum", "pcd", "trimmed_mean"]


@pytest.mark.parametrize("name", slow_except(NAMES, "mean"))
def test_ours_are_near_the_truth(name):
    matrices = against_torchjd.make_matrices(name, 4, spread=0.0)
    updates = against_torchjd.our_updates(name, matrices)
    for rows, update in zip(matrices, updates):
        expected = against_torchjd.exact_update(name, rows)
        gap = np.linalg.norm(update - expected)
        assert gap < 1e-4 * np.linalg.norm(expected)


def test_every_method_has_an_exact_answer():
    assert {*against_torchjd.EXACT, "trimmed_mean"} == set(PAIRS)


@pytest.mark.slow
def test_row_of_the_table(monkeypatch):
    def far_off(name, matrices):
        return [2 * against_torchjd.exact_update(name, m) for m in matrices]

    monkeypatch.setattr(against_torchjd, "their_updates", far_off)
    matrices = against_torchjd.make_matrices("mgda", 2, spread=0.0)
    row = against_torchjd.compare("mgda", matrices)
    assert row[0] == "mgda"
    assert float(row[1]) == pytest.approx(1, rel=1e-3)
    assert float(row[3]) < 1e-4
    assert row[4:6] == ["1.0e+00", "1.0e+00"]
    assert row[6] == "100 %"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
