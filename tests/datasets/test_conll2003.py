import keras
import numpy as np
import pytest

from keras_mtl.datasets import conll2003
from keras_mtl.datasets import load_conll2003
from keras_mtl.datasets.tfds_arrays import load_arrays

CLASSES = {"chunk": 23, "pos": 47, "ner": 9}


@pytest.fixture(scope="module")
def data(tfds_data_dir):
    return load_conll2003(limit=200, data_dir=tfds_data_dir)


def parts(data):
    return data.train, data.validation, data.test


def words_of(data, x):
    return [data.vocabulary[index] for index in x[x > 0]]


def test_arrays(data):
    assert data.num_classes == CLASSES
    for x, y in parts(data):
        assert x.dtype == np.int32
        assert 0 < x.max() < len(data.vocabulary)
        assert set(y) == set(CLASSES)
        for task, tags in y.items():
            assert tags.shape == x.shape
            assert tags.dtype == np.int32
            assert tags.min() >= 0
            assert tags[x > 0].max() < CLASSES[task]


def test_sentences_end_where_padding_begins(data):
    for x, _ in parts(data):
        padded = x == 0
        np.testing.assert_array_equal(padded, np.sort(padded, axis=1))
        assert not padded[:, 0].any()  # a sentence without words is left out
        assert x[:, -1].any()  # the longest is not padded


def test_words_and_tags_of_known_sentences(data):
    # The first test sentence: "Stefanel Milan ( Italy ) 9 6 3 15".
    x, y = data.test
    known = (x[0] > 0).sum()
    assert known == 9
    chunks = [11, 12, 0, 11, 0, 11, 12, 12, 12]  # B-NP I-NP O B-NP O B-NP ...
    np.testing.assert_array_equal(y["chunk"][0, :known], chunks)
    np.testing.assert_array_equal(
        y["pos"][0, :known], [22, 22, 4, 22, 5, 11, 11, 11, 11]
    )
    np.testing.assert_array_equal(
        y["ner"][0, :known], [3, 4, 0, 5, 0, 0, 0, 0, 0]
    )


def test_words_come_back_in_order(data, tfds_data_dir):
    (words,) = load_arrays(
        "conll2003", "train", ("tokens",), limit=200, data_dir=tfds_data_dir
    )
    expected = [word.decode() for word in words[words != b""]]
    assert words_of(data, data.train[0]) == expected


def test_vocabulary_is_of_the_training_part(data):
    x, _ = data.train
    used = set(np.unique(x[x > 0]))
    assert used == set(range(2, len(data.vocabulary)))
    assert (data.test[0] == 1).any()
    counts = np.bincount(x[x > 0])[2:]
    assert (np.diff(counts) <= 0).all()  # the most frequent first


def test_all_words_have_ids(data, tfds_data_dir):
    whole = load_conll2003(all_words=True, limit=200, data_dir=tfds_data_dir)
    for x, _ in parts(whole):
        assert not (x == 1).any()
    assert len(whole.vocabulary) > len(data.vocabulary)
    x, _ = whole.test
    assert words_of(whole, x[:1])[:4] == ["Stefanel", "Milan", "(", "Italy"]
    assert set(data.vocabulary) < set(whole.vocabulary)


def test_rare_words_are_unknown(data, tfds_data_dir):
    frequent = load_conll2003(min_count=3, limit=200, data_dir=tfds_data_dir)
    x, _ = data.train
    counts = np.bincount(x[x > 0])
    assert len(frequent.vocabulary) == 2 + np.sum(counts[2:] >= 3)
    kept = x < len(frequent.vocabulary)  # the most frequent first
    np.testing.assert_array_equal(frequent.train[0], np.where(kept, x, 1))


def test_sentences_without_words_are_left_out(monkeypatch):
    words = np.array([[b"", b""], [b"EU", b"rejects"], [b"EU", b""]], object)
    tags = np.array([[0, 0], [11, 21], [12, 0]])
    monkeypatch.setattr(
        conll2003, "load_arrays", lambda *args, **kwargs: [words, *[tags] * 3]
    )
    data = load_conll2003()
    assert data.vocabulary == ["", "[UNK]", "EU", "rejects"]
    for x, y in parts(data):
        np.testing.assert_array_equal(x, [[2, 3], [2, 0]])
        np.testing.assert_array_equal(y["pos"], tags[1:])


def test_a_model_takes_them(data):
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(len(data.vocabulary), 4, mask_zero=True)(inputs)
    model = keras.Model(
        inputs,
        {
            task: keras.layers.Dense(count, "softmax", name=task)(x)
            for task, count in data.num_classes.items()
        },
    )
    model.compile(
        "sgd", {task: "sparse_categorical_crossentropy" for task in CLASSES}
    )
    x, y = data.train
    history = model.fit(x, y, batch_size=len(x), verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("bad", [{"min_count": 0}, {"limit": 0}])
def test_bad_input(bad):
    name = next(iter(bad))
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}="):
        load_conll2003(**bad)


def test_no_data(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(FileNotFoundError, match="'conll2003'"):
        load_conll2003(data_dir=str(tmp_path), download=False)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
