import json

import pytest

from examples.text_tasks import report


def write_run(folder, source, tasks):
    row = {"epoch": 1, "train_seconds": 1.5}
    for part in ("val", "test"):
        row |= {f"{part}_{task}": 0.9 for task in tasks}
    record = {
        "config": {
            "architecture": "sluice",
            "seed": 0,
            "epochs": 1,
            "patience": 1,
            "learning_rate": 1e-3,
        },
        "tasks": tasks,
        "width": 7,
        "parameters": 5000,
        "history": [row],
    }
    (folder / source).mkdir()
    (folder / source / "run.json").write_text(json.dumps(record))


class TestWriteReport:
    def test_a_section_for_each_source(self, tmp_path):
        write_run(tmp_path, "trec", ["coarse", "fine"])
        text = report.write_report(tmp_path)
        assert "CLINC" not in text
        write_run(tmp_path, "clinc", ["intent", "domain"])
        text = report.write_report(tmp_path)
        assert (tmp_path / "results.md").read_text() == text
        assert text.index("### CLINC") < text.index("### TREC")
        assert text.count("| sluice | 90.00 | 90.00 |") == 2
        for name in ("clinc.png", "trec.png"):
            figure = (tmp_path / name).read_bytes()
            assert figure.startswith(b"\x89PNG")

    def test_nothing_to_report(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="`output_dir`"):
            report.write_report(tmp_path)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
