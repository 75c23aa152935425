"""Short texts with a coarse and a fine class each: CLINC and TREC."""

import dataclasses

import numpy as np

from keras_mtl.datasets.tfds_arrays import load_arrays
from keras_mtl.datasets.token_ids import encode
from keras_mtl.datasets.token_ids import make_vocabulary
from keras_mtl.datasets.token_ids import tokens
from keras_mtl.utils.argument_validation import integer_from

Examples = tuple[np.ndarray, dict[str, np.ndarray]]
Texts = tuple[np.ndarray, dict[str, np.ndarray]]

CLINC_CLASSES = {"intent": 150, "domain": 10}
TREC_CLASSES = {"coarse": 6, "fine": 47}
VALIDATION_STEP = 10  # of TREC, which has no validation part


@dataclasses.dataclass(frozen=True)
class TextTasks:
    """What `load_clinc` and `load_trec` return.

    Attributes:
        train: `(x, y)`. `x` is an `int32` array `(examples, length)` of ids of
            tokens, zeros at the end; `y` is a dict by task of `int32` arrays
            `(examples,)` of classes.
        validation: The same.
        test: The same.
        vocabulary: The token of each id. Id 0 is padding and id 1 any token
            that the training part does not have.
        num_classes: By task.
    """

    train: Examples
    validation: Examples
    test: Examples
    vocabulary: list[str]
    num_classes: dict[str, int]


def load_clinc(
    *,
    max_length: int | None = None,
    min_count: int = 1,
    limit: int | None = None,
    data_dir: str | None = None,
    download: bool = True,
) -> TextTasks:
    """Reads CLINC150: requests to an assistant, their intent and its domain.

    15,000 training, 3,000 validation and 4,500 test requests of one sentence,
    as their authors divided them, with equally many of each of 150 intents in
    10 domains. The requests that are out of scope are left out. An intent
    belongs to one domain, so `domain` is the coarser of two related tasks.

    Args:
        max_length: Optional int, the length of the rows; longer texts are
            cut. Defaults to that of the longest training text.
        min_count: How often a token must occur in the training part to have
            an id. Defaults to `1`.
        limit: Optional int, use only the first `limit` texts of each split of
            the source.
        data_dir: Where `tensorflow-datasets` keeps its data. Defaults to
            `TFDS_DATA_DIR`, or its own default.
        download: If `True`, the source is downloaded when it is not there.
            Defaults to `True`.

    Returns:
        A `TextTasks` with the tasks `intent` (150 classes) and `domain` (10).

    Example:

    ```python
    data = keras_mtl.datasets.load_clinc()
    x, y = data.train
    embed = keras.layers.Embedding(len(data.vocabulary), 64, mask_zero=True)
    ```

    References:

    - [Larson et al., 2019](https://aclanthology.org/D19-1131)
    """
    parts = {
        part: _read(
            "clinc_oos",
            part,
            {"intent": "intent", "domain": "domain"},
            limit,
            data_dir,
            download,
        )
        for part in ("train", "validation", "test")
    }
    return _encode(parts, CLINC_CLASSES, max_length, min_count)


def load_trec(
    *,
    max_length: int | None = None,
    min_count: int = 1,
    limit: int | None = None,
    data_dir: str | None = None,
    download: bool = True,
) -> TextTasks:
    """Reads TREC: questions, and coarsely and finely what they ask for.

    5,452 training and 500 test questions. There is no validation part: every
    tenth training question is taken for it (546). Fine classes are very
    uneven, and each belongs to one coarse class.

    Args:
        max_length: See `load_clinc`.
        min_count: See `load_clinc`.
        limit: See `load_clinc`.
        data_dir: See `load_clinc`.
        download: See `load_clinc`.

    Returns:
        A `TextTasks` with the tasks `coarse` (6 classes) and `fine` (47).

    References:

    - [Li & Roth, 2002](https://aclanthology.org/C02-1150)
    """
    labels = {"coarse": "label-coarse", "fine": "label-fine"}
    source = {
        part: _read("trec", part, labels, limit, data_dir, download)
        for part in ("train", "test")
    }
    held_out = np.arange(len(source["train"][0])) % VALIDATION_STEP == 0
    parts = {
        "train": _rows(source["train"], ~held_out),
        "validation": _rows(source["train"], held_out),
        "test": source["test"],
    }
    return _encode(parts, TREC_CLASSES, max_length, min_count)


def _read(
    name: str,
    split: str,
    labels: dict[str, str],
    limit: int | None,
    data_dir: str | None,
    download: bool,
) -> Texts:
    if limit is not None:
        # Fewer would leave a part of TREC without a text.
        integer_from(2, "limit", limit)
    texts, *classes = load_arrays(
        name,
        split,
        ("text", *labels.values()),
        limit=limit,
        data_dir=data_dir,
        download=download,
    )
    return texts, {
        task: values.astype("int32")
        for task, values in zip(labels, classes, strict=True)
    }


def _rows(texts: Texts, which: np.ndarray) -> Texts:
    x, y = texts
    return x[which], {task: labels[which] for task, labels in y.items()}


def _encode(
    parts: dict[str, Texts],
    num_classes: dict[str, int],
    max_length: int | None,
    min_count: int,
) -> TextTasks:
    integer_from(1, "min_count", min_count)
    training, _ = parts["train"]
    vocabulary = make_vocabulary(training, min_count=min_count)
    if max_length is None:
        length = max(len(tokens(text)) for text in training)
    else:
        length = integer_from(1, "max_length", max_length)
    return TextTasks(
        **{
            part: (encode(texts, vocabulary, length), labels)
            for part, (texts, labels) in parts.items()
        },
        vocabulary=vocabulary,
        num_classes=dict(num_classes),
    )
