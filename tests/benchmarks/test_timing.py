import numpy as np
import pytest

from benchmarks import timing


def test_every_round_runs_every_step_once(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE", 0)
    ran = []
    steps = {name: lambda name=name: ran.append(name) for name in "abc"}
    seconds = timing.measure(steps, rounds=4)
    assert "".join(ran) == "abc" + "bca" + "cab" + "abc"
    assert {name: len(times) for name, times in seconds.items()} == {
        "a": 4,
        "b": 4,
        "c": 4,
    }
    assert all(np.all(times > 0) for times in seconds.values())


def test_ratios_are_taken_within_rounds():
    # A machine that gets slower and slower.
    base = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    noise = np.array([1.0, 1.0, 1.0, 1.0, 9.0])
    results = timing.summarize(
        {"plain": base, "pcgrad": 2 * base, "peer": 6 * base * noise},
        "plain",
        "pcgrad",
    )
    assert results["plain"] == timing.Result(4000.0, 1.0, 0.5)
    assert results["pcgrad"] == timing.Result(8000.0, 2.0, 1.0)
    assert results["peer"] == timing.Result(24000.0, 6.0, 3.0)


def test_no_peers_no_ratio_to_them():
    seconds = {"plain": np.ones(3), "sum": np.full(3, 2.0)}
    for peer_baseline in (None, "pcgrad"):
        results = timing.summarize(seconds, "plain", peer_baseline)
        assert results["sum"] == timing.Result(2000.0, 2.0, None)


def test_table():
    results = {
        "plain": timing.Result(9.96, 1.0, 0.5),
        "peer": timing.Result(120.04, 12.0, 6.0),
    }
    lines = timing.table(
        results,
        {"plain": "keras.Model", "peer": "A peer"},
        {"plain": 1.5, "peer": 0.25},
        "pcgrad",
    ).splitlines()
    assert lines == [
        "| step        |    ms | × plain | × pcgrad | first steps, s |",
        "|-------------|------:|--------:|---------:|---------------:|",
        "| keras.Model |  10.0 |    1.00 |     0.50 |            1.5 |",
        "| A peer      | 120.0 |   12.00 |     6.00 |            0.2 |",
    ]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
