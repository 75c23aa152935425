"""Borders of what is dominated, and how labels look."""

from itertools import islice

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_mtl.pareto import hypervolume
from keras_mtl.pareto.drawing import COLORS
from keras_mtl.pareto.drawing import by_column
from keras_mtl.pareto.drawing import draw_stairs
from keras_mtl.pareto.drawing import new_figure
from keras_mtl.pareto.drawing import refuse_one_task
from keras_mtl.pareto.drawing import save
from keras_mtl.pareto.drawing import styles
from keras_mtl.pareto.drawing import task_label
from keras_mtl.pareto.points import as_points

STYLE = next(styles())


def area(polygon):
    """The shoelace formula."""
    x, y = np.asarray(polygon).T
    return abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2


def stairs(points, maximize=False, corner=None):
    axes = new_figure((2, 2)).add_subplot()
    points = as_points(points, maximize)
    draw_stairs(axes, points, (0, 1), STYLE, corner)
    return axes


@pytest.mark.parametrize(
    "maximize, between",
    [
        # Two losses: the corner is what both reach, up and to the right.
        ([False, False], (3, 4)),
        ([True, True], (1, 2)),
        ([True, False], None),
    ],
)
def test_stairs_keep_to_what_is_reached(maximize, between):
    axes = stairs([[1, 4], [3, 2]], maximize)
    (line,) = axes.lines
    found = set(map(tuple, line.get_xydata().tolist()))
    expected = {(1, 4), (3, 2), between} if between else {(3, 2)}
    assert found == expected


@pytest.mark.parametrize("maximize", [True, False, [True, False]])
def test_the_tinted_area_is_the_hypervolume(maximize):
    values = np.random.default_rng(0).random((30, 2))
    signs = np.where(maximize, -1, 1) * np.ones(2)
    reference = np.where(signs < 0, -0.25, 1.5)
    axes = stairs(values, np.broadcast_to(signs < 0, 2), signs * reference)
    (patch,) = axes.patches
    expected = hypervolume(values, reference, maximize)
    assert area(patch.get_xy()) == pytest.approx(expected)


def test_styles_tell_many_labels_apart():
    several = list(islice(styles(), 3 * len(COLORS)))
    assert len(set(several)) == len(several)


def test_labels_say_what_is_better():
    points = as_points({"auc": [1.0], "b": [1.0]}, {"auc": True, "b": False})
    assert task_label(points, 0) == "auc (larger is better)"
    assert task_label(as_points([[1.0, 2]]), 1) == "task 1 (smaller is better)"


def test_one_task():
    with pytest.raises(ValueError, match="two tasks or more.*'a'"):
        refuse_one_task(as_points({"a": [1.0]}, False))


def test_baselines():
    points = as_points({"a": [1.0], "b": [1.0]}, False)
    assert by_column(None, points) is None
    assert by_column({"b": 2, "a": 1}, points).tolist() == [1, 2]
    with pytest.raises(ValueError, match="`baselines`.*without .'b'"):
        by_column({"a": 1}, points)


def test_saves_into_a_folder_that_it_makes(tmp_path):
    save(new_figure((1, 1)), tmp_path / "new" / "front.svg")
    assert "<svg" in (tmp_path / "new" / "front.svg").read_text()
    save(new_figure((1, 1)), None)
    with pytest.raises(ValueError, match="`path` must be a file"):
        save(new_figure((1, 1)), tmp_path)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
