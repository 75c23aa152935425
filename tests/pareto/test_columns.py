"""Looking into rows as JSON has them."""

import pytest

from keras_mtl.pareto.columns import look_up

ROW = {
    "config": {"method": "sum", "weights": [0.25, 0.75]},
    "history": [{"loss": 3.0}, {"loss": 2.0}],
    "test.accuracy": 0.5,
    "a.b": {"c.d": 7},
    "failed": None,
}


@pytest.mark.parametrize(
    "column, expected",
    [
        ("config.method", "sum"),
        ("config.weights.1", 0.75),
        ("history.-1.loss", 2.0),
        ("test.accuracy", 0.5),
        ("a.b.c.d", 7),
        ("failed", None),
        ("config.weights", "[0.25, 0.75]"),
        (["config.method", "test.accuracy"], ("sum", 0.5)),
    ],
)
def test_finds(column, expected):
    assert look_up(ROW, column, "run 0") == expected


@pytest.mark.parametrize(
    "column, message",
    [
        ("confg", "no 'confg' in run 0. Did you mean 'config'.*'history'"),
        ("config.methods", "no 'methods' in run 0. Did you mean 'method'"),
        ("history.2.loss", "no '2.loss' in run 0"),
        ("history.first", "no 'first' in run 0"),
        ("failed.loss", "no 'loss' in run 0, in None"),
        ("config.method.s", "no 's' in run 0, in 'sum'"),
    ],
)
def test_says_what_is_missing(column, message):
    with pytest.raises(ValueError, match=message):
        look_up(ROW, column, "run 0")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
