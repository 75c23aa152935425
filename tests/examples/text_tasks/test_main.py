import json

import pytest
from absl import app


class TestMain:
    @pytest.mark.slow
    def test_trains_and_reports(
        self, run_example, tfds_data_dir, tmp_path, capsys
    ):
        output = f"--output_dir={tmp_path}"
        run_example(
            "text_tasks",
            "--source=clinc",
            "--model=hard_sharing",
            "--seed=3",
            "--budget=34300",
            "--epochs=1",
            "--limit=60",
            f"--data_dir={tfds_data_dir}",
            output,
        )
        assert "| hard_sharing |" in capsys.readouterr().out
        path = tmp_path / "clinc" / "hard_sharing-lr0.002-seed3.json"
        record = json.loads(path.read_text())
        assert abs(record["parameters"] - 34_300) <= 686

        run_example("text_tasks", output, "--report")
        assert "| hard_sharing |" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("--source=imdb", "--source.*imdb"),
            ("--model=mmoe", "--model.*mmoe"),
            ("--seed=one", "--seed.*one"),
            ("sluice", "sluice"),
        ],
    )
    def test_refuses(self, run_example, argument, message):
        with pytest.raises(app.UsageError, match=message):
            run_example("text_tasks", argument)

    def test_data_that_cannot_be_had(self, run_example, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "keras_mtl.datasets.tfds_arrays._reachable", lambda url: False
        )
        with pytest.raises(SystemExit, match=r"^--data_dir: .*'trec' is not"):
            run_example(
                "text_tasks",
                "--source=trec",
                f"--data_dir={tmp_path / 'none'}",
            )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
