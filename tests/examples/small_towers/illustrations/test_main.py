import pytest
from absl import app

from tests.tiers import slow_except


class TestMain:
    @pytest.mark.parametrize(
        "figure",
        slow_except(
            [
                "figure-1-training-trade-off",
                "figure-3-method",
                "figure-4-towers",
                "figure-7-convex-front",
                "figure-8-data",
            ],
            "figure-3-method",
        ),
    )
    def test_draws(self, run_example, tmp_path, figure, monkeypatch):
        # What these give is tested beside them, and takes longer.
        for name in ("quadratics", "wide_network"):
            monkeypatch.setattr(
                f"examples.small_towers.illustrations.trade_offs.{name}",
                lambda *args: {"y1": 0.3, "y2": 0.2},
            )
        run_example(
            "small_towers.illustrations",
            f"--figure={figure}",
            f"--output_dir={tmp_path}",
        )
        (path,) = tmp_path.iterdir()
        assert path.name == f"{figure}.png"
        assert path.stat().st_size > 10_000

    def test_refuses_words(self, run_example):
        with pytest.raises(app.UsageError, match="figure-3"):
            run_example("small_towers.illustrations", "figure-3")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
