"""CoNLL-2003: chunks, parts of speech and names in news stories."""

import collections
import dataclasses

import numpy as np

from keras_mtl.datasets.tfds_arrays import load_arrays
from keras_mtl.datasets.token_ids import PADDING
from keras_mtl.datasets.token_ids import SPECIAL
from keras_mtl.datasets.token_ids import UNKNOWN
from keras_mtl.utils.argument_validation import integer_from

Examples = tuple[np.ndarray, dict[str, np.ndarray]]

SPLITS = {"train": "train", "validation": "dev", "test": "test"}
FEATURES = {"chunk": "chunks", "pos": "pos", "ner": "ner"}
CONLL2003_CLASSES = {"chunk": 23, "pos": 47, "ner": 9}


@dataclasses.dataclass(frozen=True)
class Conll2003:
    """What `load_conll2003` returns.

    Attributes:
        train: `(x, y)`. `x` is an `int32` array `(sentences, length)` of ids of
            words, zeros at the end; `y` is a dict by task of `int32` arrays
            `(sentences, length)` of tags, which mean nothing where `x` is 0.
        validation: The same.
        test: The same.
        vocabulary: The word of each id. Id 0 is padding and id 1 any word
            without an id.
        num_classes: By task.
    """

    train: Examples
    validation: Examples
    test: Examples
    vocabulary: list[str]
    num_classes: dict[str, int]


def load_conll2003(
    *,
    all_words: bool = False,
    min_count: int = 1,
    limit: int | None = None,
    data_dir: str | None = None,
    download: bool = True,
) -> Conll2003:
    """Reads CoNLL-2003, English: three tags for each word of news stories.

    14,041 training, 3,250 validation and 3,453 test sentences of 203,621,
    51,362 and 46,435 words, as divided for the shared task, in the order of
    the stories. `chunk` says which words make a phrase, `pos` is the part of
    speech, on which chunks depend, and `ner` the kind of name. Words keep
    their case. The lines between stories are left out.

    Rows are sentences, padded to the longest of its part. An embedding with
    `mask_zero=True` keeps the padding out of losses and metrics;
    `x[x > 0]` and `labels[x > 0]` are the words and tags in one row.

    Args:
        all_words: If `True`, words that occur in the other parts only have ids
            too. What a network holds for them stays as it was initialised.
            Defaults to `False`: they are id 1, unknown.
        min_count: How often a word must occur, in the training part or, with
            `all_words`, in all, to have an id. Defaults to `1`.
        limit: Optional int, use only the first `limit` sentences of each
            split.
        data_dir: Where `tensorflow-datasets` keeps its data. Defaults to
            `TFDS_DATA_DIR`, or its own default.
        download: If `True`, the source is downloaded when it is not there.
            Defaults to `True`.

    Returns:
        A `Conll2003` with the tasks `chunk` (23 classes), `pos` (47) and `ner`
        (9).

    Example:

    ```python
    data = keras_mtl.datasets.load_conll2003()
    x, y = data.train
    embed = keras.layers.Embedding(len(data.vocabulary), 64, mask_zero=True)
    ```

    References:

    - [Tjong Kim Sang & De Meulder, 2003](https://aclanthology.org/W03-0419)
    """
    integer_from(1, "min_count", min_count)
    if limit is not None:
        integer_from(1, "limit", limit)
    parts = {
        part: _read(split, limit, data_dir, download)
        for part, split in SPLITS.items()
    }
    counted = parts.values() if all_words else [parts["train"]]
    vocabulary = _make_vocabulary([words for words, _ in counted], min_count)
    ids = {word: index for index, word in enumerate(vocabulary)}
    return Conll2003(
        **{
            part: (_encode(words, ids), labels)
            for part, (words, labels) in parts.items()
        },
        vocabulary=vocabulary,
        num_classes=dict(CONLL2003_CLASSES),
    )


def _read(
    split: str, limit: int | None, data_dir: str | None, download: bool
) -> Examples:
    """Words, `b""` where a sentence has ended, and their tags."""
    words, *tags = load_arrays(
        "conll2003",
        split,
        ("tokens", *FEATURES.values()),
        limit=limit,
        data_dir=data_dir,
        download=download,
    )
    # Each split of the source begins with a sentence of no words.
    kept = (words != b"").any(axis=1)
    return words[kept], {
        task: values[kept].astype("int32")
        for task, values in zip(FEATURES, tags, strict=True)
    }


def _make_vocabulary(parts: list[np.ndarray], min_count: int) -> list[str]:
    """Words by their ids: the most frequent first, then by the alphabet."""
    counts = collections.Counter(
        word for words in parts for word in words[words != b""]
    )
    kept = [word for word, count in counts.items() if count >= min_count]
    kept.sort(key=lambda word: (-counts[word], word))
    return [*SPECIAL, *(word.decode("utf-8") for word in kept)]


def _encode(words: np.ndarray, ids: dict[str, int]) -> np.ndarray:
    rows = np.full(words.shape, PADDING, "int32")
    present = words != b""
    rows[present] = [
        ids.get(word.decode("utf-8"), UNKNOWN) for word in words[present]
    ]
    return rows
