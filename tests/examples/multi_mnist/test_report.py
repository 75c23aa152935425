import json

import pytest

from examples.multi_mnist import report
from examples.multi_mnist.paper import PAPER


def write_run(folder, method, seed, accuracy):
    history = [
        {
            "epoch": epoch,
            "train_seconds": 12.4,
            **{
                f"{part}_{task}_accuracy": accuracy - 0.1 / epoch
                for part in ("val", "test")
                for task in ("left", "right")
            },
        }
        for epoch in (1, 2)
    ]
    config = {
        "method": method,
        "source": "mnist",
        "size": "large",
        "seed": seed,
        "epochs": 2,
        "learning_rate": 8e-4,
    }
    path = folder / f"{method}{seed}.json"
    path.write_text(json.dumps({"config": config, "history": history}))


class TestWriteReport:
    def test_table_and_figures(self, tmp_path):
        write_run(tmp_path, "sum", 0, 0.95)
        write_run(tmp_path, "sum", 1, 0.97)
        write_run(tmp_path, "projection", 0, 0.9)
        text = report.write_report(tmp_path)
        assert (tmp_path / "results.md").read_text() == text
        rows = {
            line.split(" | ")[0]: line.strip("| ").split(" | ")[1:]
            for line in text.splitlines()[4:]
        }
        assert rows["| sum"] == [
            "91.00 ± 1.41",
            "91.00 ± 1.41",
            "88.50 ± 1.41",
            "88.50 ± 1.41",
            "91.95",
            "90.82",
            "0.0008",
            "2",
            "2",
            "12",
            "",
            "2",
        ]
        assert rows["| projection"][0] == "85.00"
        assert rows["| projection"][4:6] == ["", ""]
        for name in ("accuracy", "curves"):
            figure = tmp_path / f"{name}-mnist-large.png"
            assert figure.read_bytes().startswith(b"\x89PNG")

    def test_nothing_to_report(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="`output_dir`"):
            report.write_report(tmp_path)


class TestPaper:
    def test_every_source_and_size(self):
        assert len(PAPER) == 6
        for published in PAPER.values():
            assert len(published) == 6
            for accuracies in published.values():
                assert all(80 < value < 93 for value in accuracies)

    def test_single_tasks_beat_the_others_on_large_fashion(self):
        published = PAPER["fashion_mnist", "large"]
        best = max(published, key=lambda name: sum(published[name]))
        assert best == "single"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
