import pytest

from examples.quickstart import report
from examples.quickstart.train import Run


@pytest.fixture
def runs():
    history = {
        "val_y1_loss": [0.9, 0.25],
        "val_y2_loss": [0.8, 0.75],
        "gradient_conflict": [0.5, 0.0],
    }
    return {"sum": Run(history, 3.2), "a longer name": Run(history, 41.0)}


class TestTable:
    def test_numbers(self, runs):
        lines = report.table(runs).splitlines()
        assert lines[0].split("  ")[0] == "method"
        assert lines[2].split() == ["sum", "0.250", "0.750", "0.500"] + [
            "25.0",
            "%",
            "3",
        ]
        assert lines[3].startswith("a longer name")

    def test_columns_are_aligned(self, runs):
        lines = report.table(runs).splitlines()
        assert len({len(line) for line in lines}) == 1


class TestPlot:
    def test_writes_a_figure(self, runs, tmp_path):
        path = tmp_path / "quickstart.png"
        report.plot(runs, path)
        assert path.read_bytes().startswith(b"\x89PNG")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
