"""Adaptive weights on the synthetic regression, and what is drawn of them."""

import numpy as np
import pytest

from examples.censoring import adaptive
from examples.censoring import regression


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(regression, "EPOCHS", 3)
    adaptive.make_model.cache_clear()
    yield
    adaptive.make_model.cache_clear()


def row(beta, task, seed, weights):
    config = {"beta": beta, "task": task, "seed": seed}
    return {"config": config, "test_loss": 0.4 + seed / 10, "weights": weights}


@pytest.mark.slow
def test_weights_adapt_and_a_second_run_starts_anew(short):
    cell = adaptive.Cell(beta=1.0, task="same", seed=0)
    first = adaptive.run(cell)
    weights = first["weights"]
    assert weights[0] == 1.0 and len(weights) == 4 == first["epochs"] + 1
    assert len(set(weights)) == 4
    assert adaptive.run(cell) == first


@pytest.mark.slow
def test_a_step_size_of_zero_keeps_the_weight(short):
    found = adaptive.run(adaptive.Cell(beta=0.0, task="same", seed=0))
    assert found["weights"] == [1.0] * 4


def test_report(tmp_path):
    rows = [
        row(beta, task, seed, [1.0, beta, beta])
        for beta in (0.1, 10.0)
        for task in regression.TASKS
        for seed in range(2)
    ]
    fixed = [
        {
            "config": {
                "setting": {"method": method, "weight": weight},
                "task": "same",
                "seed": 0,
            },
            "test_loss": 0.7,
        }
        for method, weight in (("multi_task", 0.3), ("projection", 1.0))
    ]
    lines = adaptive.table(adaptive.group(rows), fixed).splitlines()
    cell = "0.4500 ± 0.0500 (2)"
    assert lines[2] == f"| adaptive, β = 0.1 | {cell} | {cell} | {cell} |"
    assert lines[4] == "| fixed weight 0.3 | 0.7000 (1) |  |  |"
    assert len(lines) == 5
    adaptive.plot_weights(adaptive.group(rows), tmp_path / "weights.png")
    assert (tmp_path / "weights.png").stat().st_size > 1000


def test_a_short_run_keeps_its_last_weight():
    continued = adaptive._continued([1.0, 2.0], 4)
    np.testing.assert_array_equal(continued, [1, 2, 2, 2])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
