"""Eight tasks of a made recommendation platform."""

import pytest
from absl import app


@pytest.mark.slow
def test_runs_and_reports(run_example, untrained, tmp_path, capsys):
    arguments = [
        "--examples=400",
        "--trials=1",
        "--seeds=1",
        f"--output_dir={tmp_path}",
    ]
    run_example("small_towers.eight_tasks", *arguments)
    text = (tmp_path / "eight_tasks.md").read_text()
    assert text in capsys.readouterr().out
    assert "| watch_time | RMSE |" in text


def test_refuses(run_example):
    with pytest.raises(app.UsageError, match="sum"):
        run_example("small_towers.eight_tasks", "sum")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
