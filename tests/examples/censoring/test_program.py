"""The flags of the programs."""

import re
import subprocess
import sys

import pytest
from absl import app
from absl import flags

from examples.censoring import program
from examples.censoring.methods import Setting
from examples.censoring.program import Cell


@pytest.fixture
def define(monkeypatch):
    """Defines flags and reads a command line, in a set of its own."""
    values = flags.FlagValues()
    monkeypatch.setattr(program, "FLAGS", values)
    for kind in ("string", "multi_enum", "list", "integer"):
        original = getattr(flags, f"DEFINE_{kind}")

        def define_here(*args, original=original, **kwargs):
            return original(*args, flag_values=values, **kwargs)

        monkeypatch.setattr(program.flags, f"DEFINE_{kind}", define_here)

    def read(*arguments, **kwargs):
        settings = {
            "weights": [0.1, 1.0],
            "smoothings": [1.0, 0.01],
            "granularities": ["variable"],
            "seeds": 3,
        }
        program.define_flags(**{**settings, **kwargs})
        values([sys.argv[0], *arguments])

    return read


@pytest.mark.slow
def test_help_lists_the_flags_of_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "examples.censoring.regression", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    listed = set(
        re.findall(r"^  (?:-\w,)?--(?:\[no\])?(\w+)", done.stdout, re.M)
    )
    assert listed >= {
        "output_dir",
        "method",
        "weight",
        "smoothing",
        "granularity",
        "seeds",
        "first_seed",
    }


def test_defaults(define):
    define()
    assert list(program.chosen_seeds()) == [0, 1, 2]
    settings = program.chosen_settings()
    assert len(settings) == 1 + 2 + 4 * 2 * 2
    assert settings[-1] == Setting("orthogonal", 1.0, "variable", 0.01)
    path = program.results_file("imdb")
    assert path.as_posix() == "results/censoring/imdb.jsonl"


def test_choices(define):
    define(
        "--method=projection",
        "--weight=3",
        "--smoothing=0.1",
        "--granularity=model",
        "--seeds=2",
        "--first_seed=5",
        "--task=b",
        tasks=["a", "b"],
    )
    expected = [Setting("projection", 3.0, "model", 0.1)]
    assert program.chosen_settings() == expected
    assert program.chosen_cells() == [Cell(expected[0], s) for s in (5, 6)]
    assert program.FLAGS.task == ["b"]


def test_words_that_are_no_flags_are_refused():
    program.check_arguments(["program"])
    with pytest.raises(app.UsageError, match="seeds"):
        program.check_arguments(["program", "seeds"])


def test_numbers_of_a_flag():
    assert program.numbers("weight", ["0", "1e-1"]) == [0.0, 0.1]


@pytest.mark.parametrize("values", [["a"], ["-1"], ["nan"], ["inf"], []])
def test_flags_that_are_no_numbers_are_refused(values):
    with pytest.raises(app.UsageError, match="--weight"):
        program.numbers("weight", values)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
