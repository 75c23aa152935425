import numpy as np
import pytest
from absl import app
from absl import flags
from absl.testing import flagsaver

from benchmarks import two_checkouts


class FakeWorker:
    """Steps of this checkout take twice those of the other, in any order."""

    calls: list = []

    def __init__(self, name, seconds):
        self.name = name
        self.seconds = seconds

    def ask(self, command, case):
        self.calls.append(self.name)
        return self.seconds


def test_rounds_pair_the_checkouts_in_changing_order(monkeypatch):
    monkeypatch.setattr(two_checkouts.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(FakeWorker, "calls", [])
    workers = {
        "other": FakeWorker("other", 0.01),
        "this": FakeWorker("this", 0.02),
    }
    seconds = two_checkouts.measure(workers, "sum", rounds=2)
    assert FakeWorker.calls == ["this", "other", "other", "this"]
    line = two_checkouts.row("sum", seconds)
    assert line == "| sum | 10.00 | 20.00 | 2.000 | 2.000 to 2.000 |"


def test_the_ratio_is_that_within_rounds():
    base = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    noise = np.array([1.0, 1.0, 1.0, 1.0, 9.0])
    line = two_checkouts.row("sum", {"this": base * noise, "other": base})
    assert "| 1.000 | 1.000 to 1.000 |" in line


def test_what_is_no_checkout_is_refused(tmp_path):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["two_checkouts"])
    with pytest.raises(app.UsageError, match="holds keras_mtl"):
        two_checkouts.main(["two_checkouts"])
    (tmp_path / "keras_mtl").mkdir()
    with flagsaver.flagsaver(
        other=str(tmp_path), paired_cases=["sum", "misspelt"]
    ):
        with pytest.raises(app.UsageError, match="misspelt"):
            two_checkouts.main(["two_checkouts"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
