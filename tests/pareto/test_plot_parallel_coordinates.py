"""The picture of many tasks: heights, and what is written at the axes."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from keras_mtl.pareto import plot_parallel_coordinates

POINTS = {"auc": [0.5, 0.9, 0.5], "mse": [1.0, 3.0, 2.0], "same": [7, 7, 7]}
MAXIMIZE = {"auc": True, "mse": False, "same": False}


def lines(axes):
    """Those over the tasks, without the axes of the tasks."""
    return [line for line in axes.lines if len(line.get_ydata()) > 2]


def test_the_best_is_at_the_top():
    figure = plot_parallel_coordinates(POINTS, MAXIMIZE)
    (axes,) = figure.axes
    heights = [line.get_ydata().tolist() for line in lines(axes)]
    assert heights == [[0, 1, 0.5], [1, 0, 0.5], [0, 0.5, 0.5]]
    faint = [line.get_alpha() < 0.5 for line in lines(axes)]
    assert faint == [False, False, True]


def test_axes_say_their_ends():
    (axes,) = plot_parallel_coordinates(POINTS, MAXIMIZE).axes
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["0.5", "0.9", "3", "1", "7", "7"]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["auc", "mse", "same"]


def test_baselines_belong_to_the_range(tmp_path):
    path = tmp_path / "tasks.png"
    baselines = {"mse": 0.0, "auc": 0.9, "same": 8}
    (axes,) = plot_parallel_coordinates(
        {"sum": POINTS}, MAXIMIZE, baselines, path=path
    ).axes
    assert lines(axes)[-1].get_ydata().tolist() == [1, 1, 0]
    np.testing.assert_allclose(lines(axes)[0].get_ydata(), [0, 2 / 3, 1])
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["sum", "single-task baselines"]
    assert path.read_bytes().startswith(b"\x89PNG")


def test_draws_into_axes_that_are_given():
    figure = Figure()
    axes = figure.subplots()
    assert plot_parallel_coordinates([[1, 2, 3]], axes=axes) is figure
    assert len(lines(axes)) == 1


def test_many_long_names_stand_upright():
    points = {f"a long name {place}": [1.0] for place in range(9)}
    (axes,) = plot_parallel_coordinates(points, False).axes
    assert axes.get_xticklabels()[0].get_rotation() == 90


def test_one_task():
    with pytest.raises(ValueError, match="two tasks or more"):
        plot_parallel_coordinates([[1.0], [2.0]])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
