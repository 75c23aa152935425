import json

import pytest
from absl import app


class TestMain:
    @pytest.mark.slow
    def test_trains_and_reports_real_images(
        self, run_example, tfds_data_dir, tmp_path, capsys
    ):
        arguments = [
            "--method=self_auxiliary+mgda_ub",
            "--size=small",
            "--epochs=1",
            "--limit=60",
            f"--data_dir={tfds_data_dir}",
            f"--output_dir={tmp_path}",
        ]
        run_example("multi_mnist", *arguments)
        name = "mgda_ub+self_auxiliary"
        assert f"| {name} |" in capsys.readouterr().out
        path = tmp_path / f"mnist-small-{name}-seed0.json"
        (row,) = json.loads(path.read_text())["history"]
        assert row["left_aux_loss"] > 0
        assert "gradient_conflict" in row

        run_example("multi_mnist", *arguments, "--report")
        assert f"| {name} |" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("argument", "message"),
        [("--method=adam", "--method.*adam"), ("pcgrad", "pcgrad")],
    )
    def test_refuses(self, run_example, argument, message):
        with pytest.raises(app.UsageError, match=message):
            run_example("multi_mnist", argument)

    def test_data_that_cannot_be_had(self, run_example, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "keras_mtl.datasets.tfds_arrays._reachable", lambda url: False
        )
        with pytest.raises(SystemExit, match=r"^--data_dir: .*'mnist' is not"):
            run_example(
                "multi_mnist",
                f"--data_dir={tmp_path / 'none'}",
                f"--output_dir={tmp_path}",
            )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
