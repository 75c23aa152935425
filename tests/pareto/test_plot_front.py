"""The picture of two tasks shows what it is given."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from keras_mtl.pareto import plot_front

POINTS = {"left": [0.9, 0.8, 0.8], "right": [0.5, 0.7, 0.6]}
OTHERS = {"right": [0.4, 0.3], "left": [0.95, 0.7]}


def scatters(axes):
    return [
        np.asarray(collection.get_offsets()) for collection in axes.collections
    ]


def legend(axes):
    found = axes.get_legend()
    return [] if found is None else [t.get_text() for t in found.get_texts()]


def test_one_front():
    figure = plot_front(POINTS, maximize=True)
    (axes,) = figure.axes
    faint, strong = scatters(axes)
    np.testing.assert_array_equal(faint, [[0.8, 0.6]])
    np.testing.assert_array_equal(strong, [[0.9, 0.5], [0.8, 0.7]])
    first, second = axes.collections
    assert first.get_alpha() < 0.5 and second.get_alpha() is None
    assert axes.get_xlabel() == "left (larger is better)"
    assert legend(axes) == []


def test_several_fronts_with_reference_and_baselines(tmp_path):
    path = tmp_path / "fronts.png"
    figure = plot_front(
        {"sum": POINTS, "MGDA": OTHERS},
        maximize=True,
        reference={"left": 0.5, "right": 0.25},
        baselines={"right": 0.65, "left": 0.85},
        path=path,
    )
    (axes,) = figure.axes
    assert legend(axes) == ["sum", "MGDA", "single-task baselines", "reference"]
    np.testing.assert_array_equal(scatters(axes)[3], [[0.95, 0.4]])
    np.testing.assert_array_equal(scatters(axes)[-1], [[0.5, 0.25]])
    upright, level = axes.lines[-2:]
    assert upright.get_xdata() == [0.85, 0.85]
    assert level.get_ydata() == [0.65, 0.65]
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_reference_that_some_points_are_beyond():
    figure = plot_front(
        POINTS, maximize=True, reference=[0.85, 0.25], ignore_beyond=True
    )
    (line,) = figure.axes[0].lines
    # Of the two on the front, one is worse than the reference.
    assert line.get_xdata().tolist() == [0.9, 0.9, 0.85]
    assert line.get_ydata().tolist() == [0.25, 0.5, 0.5]


def test_draws_into_axes_that_are_given():
    figure = Figure()
    axes = figure.subplots(1, 2)[1]
    assert plot_front([[1, 2], [2, 1]], axes=axes) is figure
    assert len(axes.collections) == 2 and not figure.axes[0].collections


@pytest.mark.parametrize(
    "fronts, kwargs, message",
    [
        ([[1, 2, 3]], {}, "of two tasks. Take `plot_pairwise`.*3 tasks"),
        ([[1]], {}, "of two tasks"),
        ([[1, np.nan]], {}, "`fronts` must be finite"),
        ({}, {}, "`fronts` must hold a point"),
        (
            POINTS,
            {"maximize": False, "reference": [0.85, 0.9]},
            "inside.*task 'left'",
        ),
        (
            POINTS,
            {"maximize": False, "baselines": {"left": 1}},
            "`baselines`.*'right'",
        ),
        ({"a": POINTS, "b": [[1, 2]]}, {}, r"`fronts\['b'\]` must have"),
    ],
)
def test_bad_input(fronts, kwargs, message):
    with pytest.raises(ValueError, match=message):
        plot_front(fronts, **kwargs)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
