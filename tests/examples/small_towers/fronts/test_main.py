"""Two fronts of MultiMNIST with few images."""

import pytest
from absl import app


@pytest.mark.slow
def test_runs_and_reports(
    run_example, untrained, tfds_data_dir, tmp_path, capsys
):
    arguments = [
        "--trials=1",
        "--seeds=2",
        "--limit=60",
        f"--data_dir={tfds_data_dir}",
        f"--output_dir={tmp_path}",
    ]
    run_example("small_towers.fronts", *arguments)
    text = (tmp_path / "fronts.md").read_text()
    assert text in capsys.readouterr().out
    # Two seeds along four preferences, and with equal ones.
    assert "| 10 | 2 |" in text
    assert (tmp_path / "fronts.png").read_bytes().startswith(b"\x89PNG")


def test_refuses(run_example):
    with pytest.raises(app.UsageError, match="sum"):
        run_example("small_towers.fronts", "sum")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
