import numpy as np
import pytest

from keras_mtl.datasets.token_ids import encode
from keras_mtl.datasets.token_ids import make_vocabulary
from keras_mtl.datasets.token_ids import tokens


class TestTokens:
    def test_words_and_signs_in_lower_case(self):
        assert tokens("Harper 's Ferry, 1859?") == [
            "harper",
            "'",
            "s",
            "ferry",
            ",",
            "1859",
            "?",
        ]

    def test_bytes(self):
        assert tokens("Zürich".encode()) == ["zürich"]
        assert tokens("Zürich".encode("latin-1"))  # no UTF-8, and no error

    def test_no_text(self):
        assert tokens(" ") == []


class TestMakeVocabulary:
    texts = ("b b b", "c c a a", b"d")

    def test_the_most_frequent_come_first(self):
        assert make_vocabulary(self.texts) == ["", "[UNK]", "b", "a", "c", "d"]

    def test_does_not_depend_on_the_order_of_texts(self):
        again = make_vocabulary(self.texts[::-1])
        assert again == make_vocabulary(self.texts)

    def test_min_count(self):
        vocabulary = make_vocabulary(self.texts, min_count=2)
        assert vocabulary == ["", "[UNK]", "b", "a", "c"]


class TestEncode:
    def test_pads_cuts_and_knows_what_it_does_not_know(self):
        vocabulary = ["", "[UNK]", "b", "a"]
        rows = encode(["a b", "", "b x a b"], vocabulary, 3)
        assert rows.dtype == np.int32
        np.testing.assert_array_equal(rows, [[3, 2, 0], [0, 0, 0], [2, 1, 3]])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
