"""Tables and figures of the finished runs."""

import dataclasses

import pytest

from examples.multi_mnist.methods import parse
from examples.planned_runs import finder
from examples.runs import write_json
from examples.small_towers.images import plan
from examples.small_towers.images import report
from examples.small_towers.images.train import Config

BASE = Config("sum", "mnist", "large", 0.05)


def write(folder, config):
    """Self-auxiliaries are better by one point, by two on training data."""
    better = config.method == "self_auxiliary"
    result = {
        part: dict.fromkeys(
            parse(config.method).tasks,
            0.9 + 0.001 * config.seed + better * gap,
        )
        for part, gap in (("train", 0.02), ("validation", 0), ("test", 0.01))
    }
    record = {"config": dataclasses.asdict(config), "result": result}
    write_json(folder / f"{config.name}.json", record)


def test_tables_and_figures(tmp_path):
    for stage in plan.STAGES:
        for config in list(plan.stage(stage, BASE, finder(tmp_path))):
            write(tmp_path, config)
    text = report.write_report(tmp_path, [BASE])
    assert (tmp_path / "results.md").read_text() == text
    (row,) = [x for x in text.splitlines() if x.startswith("| self_auxil")]
    # 0.91, 0.911 and 0.912.
    assert "| 91.10 ± 0.10 |" in row and "| +1.00 [+1.00, +1.00] |" in row
    gap = "| +1.00 [+1.00, +1.00] | +2.00 [+2.00, +2.00] |"
    assert f"{gap} +0.85 | +0.21 | 3 |" in text
    for name in ("methods", "gaps"):
        figure = tmp_path / f"{name}-mnist.png"
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_tuning_is_not_finished(tmp_path):
    text = report.write_report(tmp_path, [BASE])
    assert text == "MultiMNIST: tuning is not finished.\n"


def test_gaps_are_seed_by_seed():
    found = {0: {"a": 3.0, "b": 5.0}, 1: {"a": 1.0, "b": 1.0}}
    others = {1: {"a": 0.0, "b": 0.5}, 2: {"a": 9.0, "b": 9.0}}
    assert report.gaps(found, others, ["a", "b"]) == [0.75]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
