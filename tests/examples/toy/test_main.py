import pytest
from absl import app


class TestMain:
    @pytest.mark.slow
    def test_runs_and_reports(self, run_example, tmp_path, capsys):
        arguments = [
            "--problem=cagrad",
            "--method=sum",
            "--steps=5",
            f"--output_dir={tmp_path}",
        ]
        run_example("toy", *arguments)
        printed = capsys.readouterr().out
        assert "\naggregator sum: " in "\n" + printed
        assert "\n| sum | 0 of 3 | " in printed
        assert (tmp_path / "toy-cagrad.png").exists()
        run_example("toy", *arguments, "--report")
        assert "aggregator sum" not in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("argument", "message"),
        [("--method=adam", "--method.*adam"), ("pcgrad", "pcgrad")],
    )
    def test_refuses(self, run_example, argument, message):
        with pytest.raises(app.UsageError, match=message):
            run_example("toy", argument)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
