"""Film reviews: words that they have, and a decay that is censored."""

import numpy as np
import pytest

from examples.censoring import imdb
from examples.censoring.methods import Setting

GOOD = b"A great film, great fun"
BAD = b"a dull film. Dull!"


@pytest.fixture
def reviews(monkeypatch):
    """Eighty reviews to train and to test, with six words."""

    def load(name, split, keys, limit=None):
        assert (name, keys) == ("imdb_reviews", ("text", "label"))
        texts = np.array([GOOD, BAD] * 40, object)
        return [texts, np.array([1, 0] * 40)]

    monkeypatch.setattr(imdb, "load_arrays", load)
    monkeypatch.setattr(imdb, "WORDS", 6)
    monkeypatch.setattr(imdb, "WIDTH", 32)
    monkeypatch.setattr(imdb, "BATCH_SIZE", 8)
    monkeypatch.setattr(imdb, "EPOCHS", 8)
    for cached in (imdb.make_data, imdb.make_model):
        cached.cache_clear()
    yield
    for cached in (imdb.make_data, imdb.make_model):
        cached.cache_clear()


def test_which_words_a_review_has(reviews):
    data = imdb.make_data()
    counts = [len(x) for x, _ in (data.train, data.validation, data.test)]
    assert counts == [64, 16, 80]
    x, y = data.test
    assert x.dtype == "uint8" and y.shape == (80, 1)
    # In the order of the alphabet: a, dull, film, fun, great; then padding.
    np.testing.assert_array_equal(x[0], [1, 0, 1, 1, 1, 0])
    np.testing.assert_array_equal(x[1], [1, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(y[:2, 0], [1, 0])


def test_optimizers():
    adam = imdb.make_optimizer(Setting("single_task"))
    assert type(adam).__name__ == "Adam"
    plain = imdb.make_optimizer(Setting("multi_task", 3.0))
    assert plain.rule is None and plain.weight == 3.0
    setting = Setting("orthogonal", 10.0, "variable", 0.01)
    rule = imdb.make_optimizer(setting).rule
    assert (rule.smoothing, rule.granularity) == (0.01, "variable")
    assert rule.initial_reference == "zeros"


@pytest.mark.slow
def test_a_run_learns_and_repeats(reviews):
    cell = imdb.Cell(Setting("projection", 1.0, "variable", 0.01), 0)
    found = imdb.run(cell)
    again = imdb.run(cell)
    assert found["test_loss"] == pytest.approx(again["test_loss"], rel=1e-4)
    assert (
        found["test_accuracy"] == 1
        and found["test_loss"] < 0.5
        and found["epochs"] == 8
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
