import json

import pytest

from examples.census_income import report


def write_run(folder, architecture, seed, auc):
    row = {"epoch": 1, "train_seconds": 1.5}
    for part in ("val", "test"):
        row |= {f"{part}_income": auc, f"{part}_marital": auc + 0.02}
    config = {
        "architecture": architecture,
        "seed": seed,
        "epochs": 1,
        "patience": 1,
        "learning_rate": 1e-3,
    }
    record = {
        "config": config,
        "tasks": ["income", "marital"],
        "width": 7,
        "parameters": 5000,
        "history": [row],
    }
    path = folder / f"{architecture}{seed}.json"
    path.write_text(json.dumps(record))


class TestWriteReport:
    def test_table_and_figure(self, tmp_path):
        write_run(tmp_path, "mmoe", 0, 0.93)
        write_run(tmp_path, "mmoe", 1, 0.95)
        write_run(tmp_path, "single", 0, 0.9)
        text = report.write_report(tmp_path)
        assert (tmp_path / "results.md").read_text() == text
        assert "| mmoe | 94.000 ± 1.414 | 96.000 ± 1.414 |" in text
        assert (tmp_path / "auc.png").read_bytes().startswith(b"\x89PNG")

    def test_nothing_to_report(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="`output_dir`"):
            report.write_report(tmp_path)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
