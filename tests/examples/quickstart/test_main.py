import pytest
from absl import app


class TestMain:
    @pytest.mark.slow
    def test_prints_a_table_and_saves_a_figure(
        self, run_example, tmp_path, capsys
    ):
        folder = tmp_path / "new" / "folder"
        run_example(
            "quickstart",
            "--epochs=1",
            "--num_examples=200",
            f"--output_dir={folder}",
        )
        printed = capsys.readouterr().out
        for method in ("sum", "PCGrad", "self-auxiliaries"):
            assert f"\n{method} " in printed
        assert (folder / "quickstart.png").exists()

    def test_refuses_arguments_that_are_no_flags(self, run_example):
        with pytest.raises(app.UsageError, match="epochs=3"):
            run_example("quickstart", "epochs=3")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
