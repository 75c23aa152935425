"""The picture of the step names what there is."""

import re
from pathlib import Path

import pytest

import keras_mtl
from docs.path_of_a_batch import STAGES
from docs.path_of_a_batch import draw

PACKAGE = Path(keras_mtl.__file__).parent
PLACES = [place for stage in STAGES for place in (stage.place, stage.beside)]


@pytest.mark.parametrize("place", [place for place in PLACES if place])
def test_names_a_function(place):
    file, name = place.split(": ")
    text = (PACKAGE / file).read_text()
    assert re.search(rf"^ *def {name}\(", text, re.MULTILINE)


def test_it_is_drawn(tmp_path):
    path = tmp_path / "picture.png"
    draw(path)
    assert path.read_bytes().startswith(b"\x89PNG")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
