import json

import pytest
from absl import app


class TestMain:
    @pytest.mark.slow
    def test_trains_and_reports(
        self, run_example, tfds_data_dir, tmp_path, capsys, monkeypatch
    ):
        # One layer: the others take as long again.
        monkeypatch.setattr(
            "examples.small_towers.probe.probe.LAYERS", ("flatten",)
        )
        arguments = [
            "--method=self_auxiliary",
            "--seeds=1",
            "--epochs=1",
            "--limit=120",
            f"--data_dir={tfds_data_dir}",
            f"--output_dir={tmp_path}",
        ]
        run_example("small_towers.probe", *arguments)
        (path,) = tmp_path.glob("*.json")
        result = json.loads(path.read_text())["result"]
        # Ten classes: what is linear in pixels is found before any training.
        assert result["flatten"]["left"] > 0.2

        run_example("small_towers.probe", *arguments, "--report")
        accuracy = f"{100 * result['flatten']['left']:.2f}"
        assert f"| flatten |  |  | {accuracy} |" in capsys.readouterr().out

    def test_refuses_words(self, run_example):
        with pytest.raises(app.UsageError, match="seeds"):
            run_example("small_towers.probe", "seeds")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
