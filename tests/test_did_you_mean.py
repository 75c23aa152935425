"""Questions in error messages."""

import pytest

from keras_mtl.did_you_mean import did_you_mean


@pytest.mark.parametrize(
    "name, known, expected",
    [
        ("pcgard", ["mgda", "pcgrad"], "Did you mean 'pcgrad'? "),
        ("DIGITS", ["Digit", "angle"], "Did you mean 'Digit'? "),
        ("x", ["digit", "angle"], ""),
        ("x", [], ""),
        (0, ["digit", 1], ""),
    ],
)
def test_did_you_mean(name, known, expected):
    assert did_you_mean(name, known) == expected


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
