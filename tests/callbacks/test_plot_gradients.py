import itertools
import sys

import numpy as np
import pytest

from keras_mtl.callbacks import GradientHistory
from keras_mtl.callbacks import GradientMonitor
from keras_mtl.callbacks import plot_gradients
from tests.callbacks.common import labels

pytest.importorskip("matplotlib")


def make_history(num_tasks, num_steps=5, weights=True):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(num_steps, num_tasks, 6))
    return GradientHistory.from_grams(
        [f"task{t}" for t in range(num_tasks)],
        10 * np.arange(1, num_steps + 1),
        rows @ rows.transpose(0, 2, 1),
        rng.random((num_steps, num_tasks)) * (1 if weights else np.nan),
    )


def test_draws_every_pair_of_two_tasks():
    history = make_history(2)
    heat, cosine, norm, weight = plot_gradients(history).axes
    assert labels(heat.get_xticklabels()) == ["task0", "task1"]
    assert labels(heat.get_yticklabels()) == ["task0", "task1"]
    mean = f"{history.cosines[:, 0, 1].mean():.2f}".replace("-", "−")
    assert labels(heat.texts) == [mean, mean]
    assert "mean cosine" in heat.get_title()
    assert [axes.get_title("left") for axes in (cosine, norm, weight)] == [
        "cosine of two task gradients",
        "gradient norm",
        "task weight",
    ]
    assert weight.get_xlabel() == "training step"
    assert cosine.lines[0].get_label() == "task0 · task1"
    np.testing.assert_array_equal(cosine.lines[0].get_xdata(), history.steps)
    np.testing.assert_allclose(
        cosine.lines[0].get_ydata(), history.cosines[:, 0, 1]
    )
    np.testing.assert_allclose(norm.lines[1].get_ydata(), history.norms[:, 1])
    np.testing.assert_allclose(
        weight.lines[0].get_ydata(), history.weights[:, 0]
    )


@pytest.mark.slow
def test_a_notebook_shows_a_picture():
    figure = plot_gradients(make_history(2))
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_makes_the_folder(tmp_path):
    path = tmp_path / "new" / "gradients.png"
    plot_gradients(make_history(2), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_draws_a_line_a_task_for_eight_tasks():
    history = make_history(8)
    heat, cosine, norm, _ = plot_gradients(history).axes
    assert len(heat.texts) == 8 * 7
    others = [history.cosines[:, 3, t] for t in range(8) if t != 3]
    np.testing.assert_allclose(
        cosine.lines[3].get_ydata(), np.mean(others, axis=0)
    )
    colors = {line.get_color() for line in norm.lines}
    assert len(colors) == 8


def test_shows_the_range_of_many_tasks():
    heat, cosine, norm, _ = plot_gradients(make_history(40)).axes
    assert not heat.texts
    assert len(norm.lines) == 1 and len(norm.collections) == 2


def test_long_courses_are_means():
    history = make_history(2, num_steps=1000)
    _, cosine, *_ = plot_gradients(history).axes
    line = cosine.lines[0].get_ydata()
    assert len(line) <= 40
    np.testing.assert_allclose(line[0], history.cosines[:25, 0, 1].mean())


def test_undefined_values_are_left_out():
    history = make_history(3, weights=False)
    history.cosines[1:, 0, 1] = history.cosines[1:, 1, 0] = np.nan
    history.cosines[:, 0, 2] = history.cosines[:, 2, 0] = np.nan
    heat, cosine, norm = plot_gradients(history).axes
    values = {t.get_position(): t.get_text() for t in heat.texts}
    expected = f"{history.cosines[0, 0, 1]:.2f}".replace("-", "−")
    assert values[1, 0] == expected
    assert (2, 0) not in values and (2, 1) in values


def test_one_step_is_visible():
    _, cosine, *_ = plot_gradients(make_history(2, num_steps=1)).axes
    assert cosine.lines[0].get_marker() == "o"


@pytest.mark.slow
def test_nothing_is_cut_off_or_covered():
    for num_tasks in (2, 3, 8):
        figure = plot_gradients(make_history(num_tasks))
        figure.draw_without_rendering()
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        for one, other in itertools.combinations(boxes, 2):
            assert not one.padded(-1).overlaps(other.padded(-1))
        for box in boxes:
            assert figure.bbox.padded(1).containsx(box.x0)
            assert figure.bbox.padded(1).containsx(box.x1)
            assert figure.bbox.padded(1).containsy(box.y0)
            assert figure.bbox.padded(1).containsy(box.y1)


@pytest.mark.slow
@pytest.mark.parametrize("ending, start", [("png", b"\x89PNG"), ("svg", b"<?")])
def test_writes_a_file(tmp_path, ending, start):
    path = tmp_path / f"gradients.{ending}"
    plot_gradients(make_history(2), path)
    assert path.read_bytes().startswith(start)


def test_nothing_logged_says_what_to_do():
    with pytest.raises(ValueError, match="no step yet.*every_n_steps"):
        plot_gradients(GradientMonitor())


def test_without_matplotlib_says_what_to_install(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"keras_mtl\[examples\]"):
        plot_gradients(make_history(2))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
