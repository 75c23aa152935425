import json

import pytest
from absl import app

from examples.selection import train

LABELS = ["main", "uniform", "bandit-0.2"]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(train, "NUM_AUXILIARY", 200)
    monkeypatch.setattr(train, "NUM_MAIN", (50, 60, 70))
    monkeypatch.setattr(train, "STEPS", 2)
    # One run less: making and tracing models is what takes the time.
    monkeypatch.delitem(train.MIXES, "useful")


class TestMain:
    @pytest.mark.slow
    def test_trains_reports_and_resumes(
        self, run_example, small, tmp_path, capsys, monkeypatch
    ):
        arguments = [
            "--epochs=3",
            "--seed=1",
            "--decay=0.2",
            f"--output_dir={tmp_path}",
        ]
        run_example("selection", *arguments)
        printed = capsys.readouterr().out
        assert "3 of 3: bandit-0.2-seed1 " in printed
        for label in LABELS:
            assert f"\n| {label} |" in printed
            record = json.loads((tmp_path / f"{label}-seed1.json").read_text())
            assert len(record["history"]) == 3
        # The first epoch trains the main task, and is good.
        first = record["selection"][0]
        assert (first["task"], first["reward"]) == ("main", 1.0)
        # What the bandit is rewarded for is what is compared.
        for entry, row in zip(record["selection"], record["history"]):
            assert entry["value"] == row["val"]

        # All but one are finished.
        (tmp_path / "main-seed1.json").unlink()
        made = []
        make_model = train.make_model
        monkeypatch.setattr(
            train, "make_model", lambda: made.append(1) or make_model()
        )
        run_example("selection", *arguments)
        assert len(made) == 1
        again = capsys.readouterr().out
        assert (
            again[again.index("| method") :]
            == (printed[printed.index("| method") :])
        )

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("--decay=2", "--decay.*2.0"),
            ("--decay=x", "--decay.*x"),
            ("--decay=", "--decay.*at least one"),
            ("--decay=nan", "--decay.*nan"),
            ("--seed=one", "--seed.*one"),
            ("--seed=-1", "--seed.*-1"),
            ("--seed=", "--seed.*at least one"),
            ("bandit", "bandit"),
        ],
    )
    def test_refuses(self, run_example, argument, message):
        with pytest.raises(app.UsageError, match=message):
            run_example("selection", argument)

    def test_an_empty_folder(self, run_example, tmp_path):
        arguments = "--report", f"--output_dir={tmp_path}"
        with pytest.raises(SystemExit, match="^--output_dir.*no finished run"):
            run_example("selection", *arguments)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
