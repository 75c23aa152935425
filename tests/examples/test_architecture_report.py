import pytest

from examples import architecture_report


def run(seed, value, **changes):
    result = {
        "epoch": {"a": 3 + seed, "b": 3},
        "test": {"a": value, "b": value + 0.02},
        "seconds_per_epoch": 1.25,
    }
    return {
        "config": {"seed": seed, "learning_rate": 1e-3},
        "tasks": ["a", "b"],
        "width": 7,
        "parameters": 5000,
        "result": result,
        **changes,
    }


@pytest.fixture
def runs():
    return {
        "single": [run(0, 0.9, width=9)],
        "mmoe": [run(0, 0.93), run(1, 0.95)],
    }


class TestTable:
    def test_mean_and_spread(self, runs):
        head, _, *rows = architecture_report.table(runs).splitlines()
        assert head.startswith("| model | a | b | mean of both |")
        cells = [row.strip("| ").split(" | ") for row in rows]
        assert cells == [
            ["single", "90.00", "92.00", "91.00"]
            + ["5000", "9", "0.001", "3", "1.2", "1"],
            ["mmoe", "94.00 ± 1.41", "96.00 ± 1.41", "95.00 ± 1.41"]
            + ["5000", "7", "0.001", "3 to 4", "1.2", "2"],
        ]


class TestPlot:
    def test_means_and_seeds(self, runs, tmp_path, monkeypatch):
        saved = []
        monkeypatch.setattr(
            architecture_report, "save_figure", lambda *args: saved.append(args)
        )
        path = tmp_path / "figure.png"
        architecture_report.plot(runs, path, title="t", xlabel="x", ylabel="y")
        ((figure, where),) = saved
        assert where == path
        (axis,) = figure.axes
        drawn = [
            dots.get_offsets().ravel().tolist() for dots in axis.collections
        ]
        assert drawn[2] == pytest.approx([93, 95, 95, 97])
        assert drawn[3] == pytest.approx([94, 96])
        labels = [text.get_text() for text in axis.get_legend().get_texts()]
        assert labels == ["single", "mmoe"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
