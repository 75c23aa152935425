import pytest
from absl import app


class TestMain:
    @pytest.mark.slow
    def test_prints_results_and_writes_models(
        self, run_example, tmp_path, capsys
    ):
        stale = tmp_path / "export" / "of_an_earlier_run"
        stale.mkdir(parents=True)
        run_example(
            "existing_model",
            "--epochs=1",
            "--num_examples=200",
            f"--output_dir={tmp_path}",
        )
        printed = capsys.readouterr().out
        assert "\nimproved " in printed
        assert "59,527 parameters" in printed
        for name in ("stock.keras", "improved.keras", "export"):
            assert (tmp_path / name).exists()
        assert not stale.exists()

    def test_refuses_arguments_that_are_no_flags(self, run_example):
        with pytest.raises(app.UsageError, match="epochs=3"):
            run_example("existing_model", "epochs=3")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
