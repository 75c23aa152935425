"""What a model is judged by."""

import math

import pytest

from keras_mtl.comparison.score import Score


def test_the_mean_the_larger_the_better():
    assert Score({"a": "max", "b": "max"}, None)({"a": 1, "b": 2}) == 1.5
    assert Score({"a": "min", "b": "min"}, None)({"a": 1, "b": 2}) == -1.5


def test_a_function():
    score = Score({"a": "max", "b": "min"}, lambda m: m["a"] - m["b"])
    assert score({"a": 3.0, "b": 1.0}) == 2.0
    assert score.maximize == {"a": True, "b": False}
    assert math.isnan(score({"a": math.nan, "b": 1.0}))
    with pytest.raises(ValueError, match="`score` must return a float"):
        Score({"a": "max"}, lambda m: None)({"a": 1.0})


@pytest.mark.parametrize(
    ("metrics", "score", "message"),
    [
        ({}, None, "`metrics` must be a dict"),
        ({"a": "up"}, None, "`metrics` must be a dict"),
        ({"a": "max", "b": "min"}, None, "Give `score`"),
        ({"a": "max"}, 3, "`score` must be a function"),
    ],
)
def test_refuses(metrics, score, message):
    with pytest.raises(ValueError, match=message):
        Score(metrics, score)


def test_values_among_logs():
    score = Score({"left_accuracy": "max"}, None)
    logs = {"left_accuracy": 0.1, "val_left_accuracy": 0.2}
    assert score.values(logs, "val_") == {"left_accuracy": 0.2}
    with pytest.raises(ValueError, match="Did you mean 'left_accuracy'"):
        Score({"left_acuracy": "max"}, None).values(logs, "")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
