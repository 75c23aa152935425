"""The picture of each pair of tasks."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_mtl.pareto import plot_pairwise

POINTS = {"a": [1, 3, 2, 3], "b": [3, 1, 2, 3], "c": [2, 2, 9, 9]}


def visible(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_a_panel_for_each_pair():
    figure = plot_pairwise(POINTS, False, baselines=[1, 2, 3])
    panels = visible(figure)
    assert len(panels) == 3 and len(figure.axes) == 4
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in panels]
    assert labels == [
        ("", "b\n(smaller is better)"),
        ("a\n(smaller is better)", "c\n(smaller is better)"),
        ("b\n(smaller is better)", ""),
    ]
    # The last is dominated in all three; the third in none that has c.
    for panel, pair in zip(panels, ("ab", "ac", "bc")):
        faint, strong = [c.get_offsets() for c in panel.collections]
        values = np.array([POINTS[task] for task in pair]).T
        np.testing.assert_array_equal(strong, values[:3])
        np.testing.assert_array_equal(faint, values[3:])


def test_lines_are_the_front_of_the_pair():
    _, a_c, _ = visible(plot_pairwise(POINTS, False))
    (line,) = a_c.lines
    # (1, 2) dominates all others in these two.
    assert line.get_xydata().tolist() == [[1, 2]]


def test_labels_are_named_once(tmp_path):
    path = tmp_path / "pairs.pdf"
    figure = plot_pairwise({"sum": POINTS, "MGDA": POINTS}, False, path=path)
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["sum", "MGDA"]
    assert path.read_bytes().startswith(b"%PDF")


def test_two_tasks():
    figure = plot_pairwise({"sum": [[1, 2], [2, 1]]})
    (panel,) = visible(figure)
    assert panel.get_legend() is not None


def test_one_task():
    with pytest.raises(ValueError, match="two tasks or more.*'a'"):
        plot_pairwise({"a": [1.0, 2.0]}, False)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
