import base64
import re

import pytest

pytest.importorskip("matplotlib")

from keras_mtl.utils.notebook_figure import NotebookFigure
from keras_mtl.utils.notebook_figure import NotebookFigures

PNG = b"\x89PNG\r\n\x1a\n"


def make_figure():
    figure = NotebookFigure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    return figure


def test_a_notebook_shows_a_picture():
    assert make_figure()._repr_png_().startswith(PNG)


def test_a_notebook_shows_it_once():
    """Pyplot shows what it knows at the end of a cell."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure = make_figure()
    figure._repr_png_()
    assert pyplot.get_fignums() == []


def test_a_notebook_shows_several():
    figures = NotebookFigures(a=make_figure(), b=make_figure())
    found = re.findall('base64,([^"]+)"', figures._repr_html_())
    assert len(found) == 2
    assert all(base64.b64decode(data).startswith(PNG) for data in found)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
