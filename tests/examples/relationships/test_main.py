import pytest
from absl import app


class TestMain:
    @pytest.mark.slow
    def test_prints_a_table_and_saves_figures(
        self, run_example, tmp_path, capsys
    ):
        folder = tmp_path / "new" / "folder"
        run_example(
            "relationships",
            "--epochs=1",
            "--num_training_examples=64",
            f"--output_dir={folder}",
        )
        printed = capsys.readouterr().out
        for model in ("independent", "relationship", "stitch"):
            assert f"\n| {model} |" in printed
        assert (folder / "relationship.png").stat().st_size > 10_000
        assert (folder / "stitch.png").stat().st_size > 10_000

    def test_refuses_arguments_that_are_no_flags(self, run_example):
        with pytest.raises(app.UsageError, match="epochs=3"):
            run_example("relationships", "epochs=3")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
