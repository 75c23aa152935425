"""Test metrics of methods, and what can be said of their differences."""

import pytest

from keras_mtl.comparison.table import table

METRICS = {"accuracy": "max"}


def row(method, seed, value, **more):
    tested = {"test": {"accuracy": value}, "test_score": value}
    found = {"method": method, "seed": seed, "parameters": {"rate": 0.1234}}
    return {**found, **({} if value is None else tested), **more}


def rows(method, *values):
    return [row(method, seed, value) for seed, value in enumerate(values)]


def verdicts(found, methods):
    lines = table(found, METRICS, methods, 0.95).splitlines()[2:]
    return [line.split(" | ")[-2].strip() for line in lines]


def test_says_what_is_better():
    found = [
        *rows("sum", 0.5, 0.6, 0.7),
        *rows("better", 0.551, 0.65, 0.751),
    ]
    lines = table(found, METRICS, ["sum", "better"], 0.95).splitlines()
    assert lines[0] == (
        "| method | accuracy | score - sum | verdict | settings |"
    )
    # Mean 0.6, and 4.3027 (Student, two degrees) times 0.1 / sqrt(3).
    assert "| sum | 0.6 [0.3516, 0.8484] |  | baseline | rate=0.123 |" in lines
    # 0.050667 and 4.3027 times 0.000577 / sqrt(3).
    assert "| 0.05067 [0.04923, 0.0521] | better |" in lines[3]


def test_more_methods_make_it_harder():
    # The difference is 2 -+ 4.3027 * 0.41 / sqrt(3) = 2 -+ 1.02 beside one
    # method, and -+ 9.92 * 0.41 / sqrt(3) = 2 -+ 2.35 beside five (0.99).
    found = [*rows("sum", 0, 0, 0), *rows("a", 1.59, 2.0, 2.41)]
    assert verdicts(found, ["sum", "a"]) == ["baseline", "better"]
    more = [row for name in "bcde" for row in rows(name, 1, 0, -1)]
    found += more
    assert verdicts(found, ["sum", *"abcde"])[1] == "not told apart"


def test_worse_one_seed_and_diverged():
    found = [*rows("sum", 1.0, 2.0), *rows("worse", 0.1, 1.11)]
    assert verdicts(found, ["sum", "worse"]) == ["baseline", "worse"]
    found = [*rows("sum", 1.0), *rows("one", 2.0)]
    assert verdicts(found, ["sum", "one"])[1] == "one seed tells nothing"
    found = [*rows("sum", 1.0, 2.0), *rows("gone", 3.0, None)]
    assert verdicts(found, ["sum", "gone"])[1] == "diverged"


def test_no_tests():
    with pytest.raises(ValueError, match="Call `run` first"):
        table([], METRICS, ["sum"], 0.95)


def test_differences_without_any_spread():
    # Two seeds that differ by as many test examples, or by rounding.
    for value in (0.6, 0.5 + 1e-16):
        found = [*rows("sum", 0.5, 0.5), *rows("other", value, value)]
        verdict = verdicts(found, ["sum", "other"])[1]
        assert verdict == "the same for all seeds: more are needed"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
