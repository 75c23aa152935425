import pytest

from keras_mtl.utils.colors import COLORS


def test_no_colour_is_there_twice():
    assert len(set(COLORS)) == len(COLORS)


def test_none_is_too_pale_for_lines_on_white():
    for color in COLORS:
        red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
        assert 0.3 * red + 0.6 * green + 0.1 * blue < 180


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
