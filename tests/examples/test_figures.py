import matplotlib
import pytest

from examples.figures import STYLES
from examples.figures import draw_line
from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles


class TestStyles:
    def test_are_distinct(self):
        for key in ("color", "marker"):
            assert len({style[key] for style in STYLES}) == len(STYLES)

    def test_more_lines_than_styles(self):
        assert len(styles(20)) == 20


class TestFigure:
    def test_draws_and_saves(self, tmp_path):
        figure, axes = new_figure(2, (6.0, 3.0))
        assert len(axes) == 2
        draw_line(axes[0], [3.0, 2.0, 1.0], label="a", **STYLES[0])
        (line,) = axes[0].lines
        assert line.get_xdata().tolist() == [1, 2, 3]
        save_figure(figure, tmp_path / "figure.png")
        image = matplotlib.image.imread(tmp_path / "figure.png")
        assert image.shape[:2] == (450, 900)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
