"""MNIST, one task."""

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
    run_example("small_towers.digits", *arguments)
    text = (tmp_path / "digits.md").read_text()
    assert text in capsys.readouterr().out
    assert "| large |" in text and "| 0.9918 ± 0.0009 |" in text


def test_refuses(run_example):
    with pytest.raises(app.UsageError, match="sum"):
        run_example("small_towers.digits", "sum")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
