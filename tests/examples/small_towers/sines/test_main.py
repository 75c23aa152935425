import pytest
from absl import app


class TestMain:
    def test_refuses_words(self, run_example):
        with pytest.raises(app.UsageError, match="depth"):
            run_example("small_towers.sines", "depth")

    def test_wants_the_trials_first(self, run_example, tmp_path):
        with pytest.raises(SystemExit, match=r"^--stage: `tune` must be"):
            run_example(
                "small_towers.sines",
                "--stage=depth",
                f"--output_dir={tmp_path}",
            )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
