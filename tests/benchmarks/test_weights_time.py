import numpy as np
import pytest

from benchmarks import weights_time
from benchmarks.torchjd_methods import PAIRS


@pytest.fixture(autouse=True)
def few_repeats(monkeypatch):
    monkeypatch.setattr(weights_time, "REPEATS", 2)


@pytest.mark.slow
def test_measures_what_is_defined(monkeypatch):
    monkeypatch.setattr(weights_time, "their_call", lambda *_: None)
    table = weights_time.measure(3, 2, ["mean", "krum", "pcgrad"], rounds=1)
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    # Krum is not defined for three tasks.
    assert rows == ["mean", "pcgrad"]


def test_ratio_to_the_other_library(monkeypatch):
    # Two calls in one program take 5 us, one of them alone 3, theirs two 8.
    seconds = {"mean": 5e-6, "mean alone": 3e-6, "mean torchjd": 8e-6}

    def measure(calls, rounds):
        assert calls.keys() == seconds.keys()
        return {name: np.full(rounds, seconds[name]) for name in calls}

    monkeypatch.setattr(weights_time, "their_call", lambda *_: lambda: None)
    monkeypatch.setattr(weights_time.timing, "measure", measure)
    table = weights_time.measure(2, 1, ["mean"], rounds=3)
    assert table.splitlines()[-1] == "| mean | 2 | 3 | 4 | 2.0 |"


# What cvxpy says of problems of TorchJD.
@pytest.mark.filterwarnings("ignore:.*not DPP:UserWarning")
@pytest.mark.slow
def test_calls_torchjd():
    pytest.importorskip("torchjd")
    for name in set(PAIRS) - {"trimmed_mean"}:
        table = weights_time.measure(6, 1, [name], rounds=1)
        assert len(table.splitlines()[-1].split("|")) == 7


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
