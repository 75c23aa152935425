import json

import pytest
from absl import app

from tests.datasets.census_rows import make_rows
from tests.datasets.census_rows import write_rows


class TestMain:
    @pytest.mark.slow
    def test_trains_and_reports(self, run_example, tmp_path, capsys):
        write_rows(tmp_path / "census-income.test.gz", make_rows(80))
        output = tmp_path / "results"
        arguments = [
            "--model=mmoe",
            "--seed=3",
            "--budget=60000",
            "--epochs=1",
            "--limit=60",
            f"--data_dir={tmp_path}",
            f"--output_dir={output}",
        ]
        run_example("census_income", *arguments)
        assert "| mmoe |" in capsys.readouterr().out
        record = json.loads((output / "mmoe-lr0.003-seed3.json").read_text())
        assert abs(record["parameters"] - 60_000) <= 1200

        run_example("census_income", f"--output_dir={output}", "--report")
        assert "| mmoe |" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("--model=lenet", "--model.*lenet"),
            ("--seed=one", "--seed.*one"),
            ("mmoe", "mmoe"),
        ],
    )
    def test_refuses(self, run_example, argument, message):
        with pytest.raises(app.UsageError, match=message):
            run_example("census_income", argument)

    def test_data_that_are_not_there(self, run_example, tmp_path):
        with pytest.raises(SystemExit, match=r"^--data_dir: .*Download"):
            run_example("census_income", f"--data_dir={tmp_path}")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
