import dataclasses
import json

import pytest

from examples.small_towers.sines import plan
from examples.small_towers.sines import report

ERRORS = {"y1": 10.0, "y2": 20.0}


def write(folder, config, **errors):
    row = {part: errors for part in ("train", "validation", "test")}
    record = {
        "config": dataclasses.asdict(config),
        "result": {"best": row, "last": row},
    }
    (folder / f"{config.name}.json").write_text(json.dumps(record))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two depths; of the deeper one all errors are half as large."""
    monkeypatch.setattr(report, "mean_errors", lambda data: ERRORS)
    monkeypatch.setattr(report, "noise_errors", lambda data: ERRORS)
    for depth in (0, 1):
        for heads in (False, True):
            trials = plan.trials("easier", depth, heads)
            for number, config in enumerate(trials):
                write(tmp_path, config, y1=50 + number, y2=50)
            error = (8 - 2 * heads) / (1 + depth)
            for seed in (0, 1):
                for config in plan.front(trials[0], seed):
                    write(tmp_path, config, y1=error, y2=2 * error)
            if not heads:
                for alpha in (0.0, 1.0):
                    single = dataclasses.replace(trials[0], alpha=alpha)
                    write(tmp_path, single, y1=3, y2=4)
    (tmp_path / "easier-not-finished.json").write_text('{"config": {}}')
    return tmp_path


class TestTables:
    def test_have_hypervolumes_in_percent_of_the_mean(self, folder):
        text = report.tables(report.Results(folder, "easier"))
        rows = [line.split(" | ") for line in text.splitlines()]
        shallow, deep = [row for row in rows if len(row) == 8][2:4]
        # (1 - 8 / 10) * (1 - 16 / 20), and so on.
        assert shallow == [
            "| 0",
            "4.00 [4.00, 4.00]",
            "16.00 [16.00, 16.00]",
            "+12.00 [+12.00, +12.00]",
            "",
            "4.00",
            "16.00",
            "2 |",
        ]
        assert deep[1:3] == ["36.00 [36.00, 36.00]", "49.00 [49.00, 49.00]"]
        assert "| 1 | 0.0005 | 0.001, 1 | 4.0 / 8.0 | 3.0 / 6.0 |" in text
        assert "Best single tasks: 3.0 / 4.0." in text
        assert "10.0 / 20.0" in text


class TestWriteReport:
    @pytest.mark.slow
    def test_draws_what_is_finished(self, folder):
        text = report.write_report(folder)
        assert (folder / "results.md").read_text() == text
        runs = (folder / "runs.jsonl").read_text().splitlines()
        # A front of two depths, with and without, of two seeds; trials; and
        # two single tasks of each depth.
        assert len(runs) == 2 * 2 * (2 * 5 + 5) + 2 * 2
        assert json.loads(runs[0])["test"].keys() == {"y1", "y2"}
        figures = [path.name for path in folder.glob("*.png")]
        assert sorted(figures) == [
            "figure-2-easier.png",
            "hypervolumes-by-depth-easier.png",
        ]


class TestResults:
    def test_leaves_out_fronts_that_are_not_complete(self, folder):
        results = report.Results(folder, "easier")
        assert list(results.fronts(1, True)) == [0, 1]
        results.records.pop(
            dataclasses.replace(
                plan.trials("easier", 1, True)[0], alpha=0.9, seed=1
            ).name
        )
        assert list(results.fronts(1, True)) == [0]
        assert results.fronts(9, True) == {}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
