import json

import numpy as np
import pytest

from examples.selection import report


def write_run(folder, method, seed, val, test, decay=None, tasks=()):
    config = {"method": method, "decay": decay, "epochs": 3, "seed": seed}
    history = [{"val": v, "test": t} for v, t in zip(val, test)]
    record = {"config": config, "history": history}
    if tasks:
        record["selected"] = ["useful"]
        record["selection"] = [
            {"task": task, "reward": float(task == "useful")} for task in tasks
        ]
    path = folder / f"{method}{decay}{seed}.json"
    path.write_text(json.dumps(record))


@pytest.fixture
def folder(tmp_path):
    bandit = {"decay": 0.1, "tasks": ["main", "useful", "useful"]}
    write_run(tmp_path, "uniform", 0, [0.5, 0.6, 0.6], [0.5, 0.7, 0.9])
    write_run(
        tmp_path, "bandit", 0, [0.5, 0.9, 0.8], [0.5, 0.75, 0.6], **bandit
    )
    write_run(
        tmp_path, "bandit", 1, [0.9, 0.6, 0.8], [0.77, 0.9, 0.6], **bandit
    )
    # Not finished.
    write_run(tmp_path, "useful", 0, [0.5], [0.5])
    return tmp_path


class TestWriteReport:
    def test_tables_and_figure(self, folder):
        text = report.write_report(folder)
        assert (folder / "results.md").read_text() == text
        assert "| uniform | 70.00 |  |" in text
        assert "| bandit-0.1 | 76.00 ± 1.41 | +5.00 |" in text
        counts = "1 (0 %) | 2 (100 %) | 0 | 0"
        assert f"| bandit-0.1 | 1 | {counts} | useful |" in text
        assert f"| bandit-0.1 | mean | {counts} |  |" in text
        png = (folder / "selection.png").read_bytes()
        assert png.startswith(b"\x89PNG")

    def test_nothing_to_report(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="`output_dir`"):
            report.write_report(tmp_path)


class TestBestSoFar:
    def test_validation_chooses_and_of_equal_ones_the_first(self, folder):
        (run,) = report.load_runs(folder)["uniform"]
        np.testing.assert_array_equal(report.best_so_far(run), [0.5, 0.7, 0.7])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
