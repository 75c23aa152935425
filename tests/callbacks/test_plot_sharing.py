import itertools
import sys

import keras
import numpy as np
import pytest

from keras_mtl.callbacks import plot_sharing
from keras_mtl.callbacks.plot_sharing import _draw
from keras_mtl.layers import TaskAttention
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from tests.callbacks.common import labels

pytest.importorskip("matplotlib")


class Shows(keras.layers.Layer):
    def __init__(self, *matrices, **kwargs):
        super().__init__(**kwargs)
        self.matrices = matrices

    def call(self, inputs):
        return inputs

    def sharing_matrices(self):
        return list(self.matrices)


def make_matrix(shape, low=None, high=None, title="alpha", values=None):
    rows, columns = shape
    if values is None:
        values = np.random.default_rng(0).uniform(-1, 1, size=shape)
        if low == 0:
            values = np.abs(values)
    return SharingMatrix(
        title,
        np.array(values),
        [f"task{row}" for row in range(rows)],
        [f"from{column}" for column in range(columns)],
        low,
        high,
    )


def maps(figure):
    """The heat maps, without the colour bars that stand in them."""
    return [axes for axes in figure.axes if axes.get_title()]


def test_numbers_names_and_titles_of_a_small_matrix():
    values = [[0.9, -0.1], [-0.001, 250.0]]
    layer = Shows(make_matrix((2, 2), values=values), name="stitch")
    figure = plot_sharing(layer)
    [axes] = maps(figure)
    assert labels(axes.texts) == ["0.90", "−0.10", "0.00", "250"]
    assert labels(axes.get_yticklabels()) == ["task0", "task1"]
    assert labels(axes.get_xticklabels()) == ["from0", "from1"]
    assert axes.get_title() == "alpha"
    assert "stitch (Shows)" in [text.get_text() for text in figure.texts]


def test_numbers_can_be_read_on_their_colours():
    layer = Shows(make_matrix((1, 3), 0, 1, values=[[0.0, 0.4, 1.0]]))
    [axes] = maps(plot_sharing(layer))
    colors = [text.get_color() for text in axes.texts]
    assert colors == ["black", "black", "white"]


def grey(axes, values):
    [image] = axes.images
    colors = image.cmap(image.norm(np.array(values)))[:, :3]
    return colors @ [0.3, 0.59, 0.11]


def test_shares_have_a_sequential_scale_that_reads_in_grey():
    [axes] = maps(plot_sharing(Shows(make_matrix((2, 3), 0, 1))))
    assert axes.images[0].get_clim() == (0, 1)
    assert np.all(np.diff(grey(axes, np.linspace(0, 1, 20))) < 0)
    unbounded = make_matrix((1, 2), 0, None, values=[[1.0, 3.0]])
    [axes] = maps(plot_sharing(Shows(unbounded)))
    assert axes.images[0].get_clim() == (0, 3)


@pytest.mark.parametrize(
    "low, high, limit", [(None, None, 0.9), (-1, 1, 1), (-2.0, None, 0.9)]
)
def test_signed_values_have_zero_in_the_middle(low, high, limit):
    matrix = make_matrix((1, 2), low, high, values=[[0.9, 0.1]])
    [axes] = maps(plot_sharing(Shows(matrix)))
    assert axes.images[0].get_clim() == (-limit, limit)
    assert grey(axes, [0.0])[0] > 0.95


def test_many_columns_have_no_numbers_and_few_names():
    matrix = make_matrix((2, 300), 0, 1)
    [axes] = maps(plot_sharing(Shows(matrix)))
    assert not axes.texts
    names = labels(axes.get_xticklabels())
    assert names[:3] == ["from0", "from10", "from20"] and len(names) == 30
    assert not axes.collections


def test_stripes_tell_negative_values_where_there_is_no_number():
    values = np.linspace(-1, 1, 21)[None]
    [axes] = maps(plot_sharing(Shows(make_matrix((1, 21), values=values))))
    striped = np.zeros(21, bool)
    for stripes in axes.collections:
        assert stripes.get_hatch()
        striped |= np.isfinite(stripes.get_array().filled(np.nan)).ravel()
    np.testing.assert_array_equal(striped, values[0] < -0.05)


def test_unknown_values_are_grey():
    matrix = make_matrix((1, 2), 0, 1, values=[[np.nan, 0.5]])
    [axes] = maps(plot_sharing(Shows(matrix)))
    assert labels(axes.texts) == ["0.50"]
    assert axes.get_facecolor()[:3] == pytest.approx([0xDD / 255] * 3)
    plot_sharing(Shows(make_matrix((1, 2), values=[[np.nan, np.nan]])))


@pytest.mark.slow
def test_nothing_is_cut_off_or_covered():
    long = "the probability that a gate is open at inference"
    for matrices in (
        [make_matrix((2, 2))],
        [make_matrix((1, 1), 0, 1, long)],
        [make_matrix((3, 8), 0, 1), make_matrix((2, 8), 0, 1)],
        [make_matrix((2, 2)), make_matrix((2, 2), 0, 1, long)],
        [make_matrix((2, 200), 0, 1), make_matrix((14, 14))],
    ):
        figure = plot_sharing(Shows(*matrices))
        figure.draw_without_rendering()
        boxes = [axes.get_tightbbox() for axes in maps(figure)]
        assert len(boxes) == len(matrices)
        for one, other in itertools.combinations(boxes, 2):
            assert not one.padded(-1).overlaps(other.padded(-1))
        for box in boxes:
            assert figure.bbox.padded(1).containsx(box.x0)
            assert figure.bbox.padded(1).containsx(box.x1)
            assert figure.bbox.padded(1).containsy(box.y0)
            assert figure.bbox.padded(1).containsy(box.y1)


@pytest.mark.parametrize("ending, start", [("png", b"\x89PNG"), ("svg", b"<?")])
def test_writes_a_file(tmp_path, ending, start):
    path = tmp_path / f"stitch.{ending}"
    plot_sharing(Shows(make_matrix((2, 2))), path)
    assert path.read_bytes().startswith(start)


def test_a_model_gives_one_picture_a_layer(tmp_path):
    inputs = keras.Input((3,))
    x = Shows(make_matrix((2, 2)), name="stitch")(inputs)
    picked = TaskAttention(["a", "b"], name="attention")(x, x)
    inner = keras.Model(inputs, picked)
    model = keras.Model(inputs, inner(inputs))
    model(np.ones((4, 3)), training=True)
    figures = plot_sharing(model, tmp_path / "new" / "folder")
    assert list(figures) == ["stitch", "attention"]
    [axes] = maps(figures["attention"])
    [matrix] = inner.get_layer("attention").sharing_matrices()
    assert labels(axes.texts) == [f"{v:.2f}" for v in matrix.values.ravel()]
    names = sorted(p.name for p in (tmp_path / "new" / "folder").iterdir())
    assert names == ["attention.png", "stitch.png"]


def make_model():
    inputs = keras.Input((3,))
    x = Shows(make_matrix((2, 2)), name="stitch")(inputs)
    x = Shows(make_matrix((3, 2)), make_matrix((2, 8), 0, 1), name="gate")(x)
    return keras.Model(inputs, x)


@pytest.mark.slow
@pytest.mark.parametrize(
    "ending, start", [("png", b"\x89PNG"), ("PDF", b"%PDF"), ("svg", b"<?")]
)
def test_a_model_gives_one_file_where_that_is_asked_for(
    tmp_path, ending, start
):
    path = tmp_path / "new" / f"sharing.{ending}"
    figures = plot_sharing(make_model(), path)
    assert path.read_bytes().startswith(start)
    assert list(figures) == ["stitch", "gate"]


def test_all_layers_of_a_model_have_room_in_one_file():
    tall = make_matrix((9, 2))
    layers = {"a": Shows(make_matrix((2, 2))), "b": Shows(tall, tall)}
    figure = _draw(layers)
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in maps(figure)]
    assert len(boxes) == 3
    for one, other in itertools.combinations(boxes, 2):
        assert not one.padded(-1).overlaps(other.padded(-1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.v2", "png", "2024.01"])
def test_other_endings_are_folders(tmp_path, name):
    plot_sharing(make_model(), tmp_path / name)
    assert (tmp_path / name / "stitch.png").is_file()


def test_a_folder_that_is_there_stays_one(tmp_path):
    (tmp_path / "old.png").mkdir()
    plot_sharing(make_model(), tmp_path / "old.png")
    assert (tmp_path / "old.png" / "gate.png").is_file()


def test_a_notebook_shows_pictures():
    figures = plot_sharing(make_model())
    assert figures._repr_html_().count("data:image/png") == 2
    one = plot_sharing(Shows(make_matrix((2, 2))))
    assert one._repr_png_().startswith(b"\x89PNG")


def test_layers_without_a_matrix_do_not_keep_others_from_a_picture():
    inputs = keras.Input((3,))
    x = Shows(name="empty")(inputs)
    x = Shows(make_matrix((2, 2)), name="stitch")(x)
    assert list(plot_sharing(keras.Model(inputs, x))) == ["stitch"]
    model = keras.Sequential([Shows(make_matrix((2, 2)), name="new")])
    with pytest.raises(ValueError, match="a model with such layers"):
        plot_sharing(model)


@pytest.mark.parametrize(
    "layer, message",
    [
        (keras.layers.Dense(1), "a layer with `sharing_matrices.*Dense"),
        (
            keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]),
            "a model with such layers.*Sequential",
        ),
        ("stitch", "Received: layer='stitch'"),
        (Shows(name="empty"), "'empty' has no matrix to show"),
        (TaskAttention(["a"], name="new"), "'new' has no weights yet"),
    ],
)
def test_nothing_to_show(layer, message):
    with pytest.raises(ValueError, match=message):
        plot_sharing(layer)


def test_without_matplotlib_says_what_to_install(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"keras_mtl\[examples\]"):
        plot_sharing(Shows(make_matrix((2, 2))))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
