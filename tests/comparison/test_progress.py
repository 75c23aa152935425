"""How far a comparison has come."""

import pytest

from keras_mtl.comparison.progress import Progress


def test_lines_bar_and_silence(capsys):
    for verbose, said in ((0, ""), (2, "2/4 sum, trial 1\n")):
        Progress(4, verbose, lambda: 2).show("sum, trial 1")
        assert capsys.readouterr().out == said
    Progress(4, 1, lambda: 2).show("sum, trial 1")
    assert "2/4" in capsys.readouterr().out
    # No terminal: lines.
    Progress(4, "auto", lambda: 9).show("sum, trial 1")
    assert capsys.readouterr().out.startswith("4/4 sum")


def test_refuses():
    with pytest.raises(ValueError, match="`verbose` must be one of"):
        Progress(4, 3, lambda: 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
