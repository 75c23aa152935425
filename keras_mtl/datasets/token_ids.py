"""Texts as rows of integers."""

import collections
import re
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

PADDING = 0
UNKNOWN = 1
SPECIAL = ("", "[UNK]")
TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens(text: str | bytes) -> list[str]:
    """Words and single signs of a text, in lower case."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    return TOKEN.findall(text.lower())


def make_vocabulary(
    texts: Iterable[str | bytes], *, min_count: int = 1
) -> list[str]:
    """Tokens by their ids: padding, unknown, then the most frequent first.

    Args:
        texts: Those of the training part.
        min_count: How often a token must occur. Defaults to `1`.

    Returns:
        A list; the first two entries are `""`, for padding, and `"[UNK]"`.
    """
    counts = collections.Counter(t for text in texts for t in tokens(text))
    kept = [token for token, count in counts.items() if count >= min_count]
    # By the alphabet where counts are equal, whatever the order of the texts.
    return [*SPECIAL, *sorted(kept, key=lambda t: (-counts[t], t))]


def encode(
    texts: Sequence[str | bytes], vocabulary: Sequence[str], length: int
) -> np.ndarray:
    """Ids of the tokens, padded with zeros at the end, or cut there.

    Args:
        texts: What to encode.
        vocabulary: What `make_vocabulary` returned.
        length: Of every row.

    Returns:
        `int32` array `(len(texts), length)`.
    """
    ids = {token: index for index, token in enumerate(vocabulary)}
    rows = np.full((len(texts), length), PADDING, "int32")
    for row, text in zip(rows, texts, strict=True):
        found = [ids.get(token, UNKNOWN) for token in tokens(text)[:length]]
        row[: len(found)] = found
    return rows
