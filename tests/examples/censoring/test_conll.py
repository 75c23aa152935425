"""Chunks and parts of speech: streams of words, and runs on a toy grammar."""

import numpy as np
import pytest

import keras_mtl
from examples.censoring import conll
from examples.censoring.methods import Setting
from keras_mtl.datasets import Conll2003

WORDS = 300


def text(seed, count):
    """Words of two parts of speech; a chunk begins where they change.

    A word alone says nothing about its chunk, but all about its part of
    speech.
    """
    words = np.random.default_rng(seed).integers(2, WORDS, count)
    pos = words % 2
    chunk = (pos != np.roll(pos, 1)).astype("int32")
    return words.astype("int32"), {"chunk": chunk, "pos": pos.astype("int32")}


@pytest.fixture
def grammar(monkeypatch):
    """Two thousand words of the toy grammar, and a small network."""
    data = conll.Data(
        text(0, 2000),
        text(1, 407),
        text(2, 1007),
        WORDS,
        {"chunk": 2, "pos": 2},
    )
    monkeypatch.setattr(conll, "make_data", lambda limit: data)
    for name, value in {
        "LAYERS": 1,
        "EMBEDDING": 8,
        "UNITS": 16,
        "STREAMS": 8,
        "LEARNING_RATE": 1e-2,
    }.items():
        monkeypatch.setattr(conll, name, value)
    conll.make_model.cache_clear()
    yield data
    conll.make_model.cache_clear()


@pytest.fixture
def two_streams(monkeypatch):
    monkeypatch.setattr(conll, "STREAMS", 2)
    monkeypatch.setattr(conll, "STEPS", 3)


def test_each_batch_goes_on_from_the_last(two_streams):
    # Two streams of eight words, 0 to 7 and 8 to 15; 16 is left over.
    np.testing.assert_array_equal(
        conll.streams(np.arange(17)),
        [[0, 1, 2], [8, 9, 10], [3, 4, 5], [11, 12, 13]],
    )
    x, y = conll.in_streams((np.arange(17), {"chunk": np.arange(17) * 2}))
    np.testing.assert_array_equal(y["chunk"], x * 2)


def test_windows_hold_all_words(two_streams):
    np.testing.assert_array_equal(
        conll.windows(np.arange(1, 6)), [[1, 2, 3], [4, 5, 0]]
    )
    np.testing.assert_array_equal(conll.windows(np.arange(1, 4)), [[1, 2, 3]])


class WordItself:
    """Predicts that the tag of a word is its number."""

    def predict(self, x, batch_size, verbose):
        return {"chunk": np.eye(20)[x]}


def test_both_accuracies(two_streams):
    words = np.arange(17)
    tags = words.copy()
    # Words of the last batch are 3, 4, 5, 11, 12 and 13.
    tags[[0, 4, 12, 16]] += 1
    part = (words, {"chunk": tags, "pos": words})
    model = WordItself()
    assert conll.accuracy(model, part) == pytest.approx(13 / 17)
    assert conll.last_batch_accuracy(model, part) == pytest.approx(4 / 6)


def test_data_is_one_row_of_words(monkeypatch):
    x = np.array([[2, 3, 0], [4, 0, 0]])
    y = {task: x * 10 for task in ("chunk", "pos", "ner")}
    source = Conll2003(
        (x, y), (x, y), (x, y), [""] * 5, {"chunk": 23, "pos": 47, "ner": 9}
    )
    asked = {}

    def load(**kwargs):
        asked.update(kwargs)
        return source

    monkeypatch.setattr(conll, "load_conll2003", load)
    data = conll.make_data.__wrapped__(limit=7)
    assert asked == {"all_words": True, "limit": 7}
    for words, tags in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(words, [2, 3, 4])
        assert set(tags) == {"chunk", "pos"}
        np.testing.assert_array_equal(tags["pos"], [20, 30, 40])
    assert (data.num_words, data.num_classes["pos"]) == (5, 47)


def test_initial_values_are_those_of_pytorch():
    data = conll.Data(None, None, None, 1000, {"chunk": 23, "pos": 47})
    network = conll.make_network(data)
    assert isinstance(network, keras_mtl.MultiTaskModel)
    bounds = []
    for weight in network.get_weights():
        bounds.append(np.abs(weight).max())
    edge = 128**-0.5
    lstm = [edge, edge, 2 * edge]
    expected = [0.1, *lstm, *lstm, 0.1, 0, 0.1, 0]
    np.testing.assert_allclose(bounds, expected, rtol=0.2)
    assert np.all(np.array(bounds) <= 1.000001 * np.array(expected))
    drawn = network.get_weights()
    # The two matrices of the second layer have one shape.
    assert abs(np.corrcoef(drawn[4].ravel(), drawn[5].ravel())[0, 1]) < 0.02
    assert sum(weight.size for weight in drawn) == (
        1000 * 300 + 4 * 128 * (300 + 128 + 1 + 128 + 128 + 1) + 129 * (23 + 47)
    )


@pytest.mark.slow
def test_the_auxiliary_task_helps(grammar):
    single = conll.run(conll.Cell(Setting("single_task"), 0), epochs=5)
    setting = Setting("projection", 1.0, "variable", 0.01)
    cell = conll.Cell(setting, 0)
    helped = conll.run(cell, epochs=5)
    # The first word of a window has nothing to compare with.
    assert single["test_accuracy"] < 0.6
    assert 0.9 < helped["test_accuracy"] < 0.97
    assert helped["val_loss"] < single["val_loss"]
    assert helped["epochs"] == 5

    model = conll.make_model(setting).model
    assert model.optimizer.global_clipnorm == 1.0
    assert model.aggregator.initial_reference == "zeros"
    # What a run leaves behind does not reach the next.
    first = conll.run(cell, epochs=2)
    assert first["val_loss"] > helped["val_loss"]
    assert conll.run(cell, epochs=2) == pytest.approx(first, rel=1e-4)
    other = conll.run(conll.Cell(setting, 1), epochs=2)
    assert other["val_loss"] != pytest.approx(first["val_loss"], rel=1e-6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
