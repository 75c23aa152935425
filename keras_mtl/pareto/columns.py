"""Looking into the rows of results."""

from collections.abc import Hashable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_mtl.utils.did_you_mean import did_you_mean


def look_up(
    row: Mapping[str, Any], column: str | Sequence[str], where: str
) -> Any:
    """What a row says in a column.

    Args:
        row: Dict of dicts and lists, as JSON has them.
        column: A key. `"config.method"` looks into the entry `config`, and
            `"history.-1.loss"` into the last of a list. Several columns give
            a tuple.
        where: What the row belongs to, for messages.

    Returns:
        The entry; a dict or list as text, which can be a key.

    Raises:
        ValueError: If there is none.
    """
    if not isinstance(column, (str, Sequence)):
        raise ValueError(
            "A column must be a string, or several a sequence of them. "
            f"Received: {column!r}"
        )
    if not isinstance(column, str):
        return tuple(look_up(row, name, where) for name in column)
    found = entry(row, column, where)
    return found if isinstance(found, Hashable) else repr(found)


def entry(row: Any, column: str, where: str) -> Any:
    """As `look_up` of one column, dicts and lists as they are."""
    if isinstance(row, Mapping):
        if column in row:
            return row[column]
        # The longest first: keys may have points in them.
        for end in _dots(column):
            if column[:end] in row:
                return entry(row[column[:end]], column[end + 1 :], where)
        raise ValueError(
            f"There is no {column!r} in {where}. "
            f"{did_you_mean(column, row)}It has {list(row)}"
        )
    place, _, rest = column.partition(".")
    is_list = isinstance(row, Sequence) and not isinstance(row, str)
    try:
        found = row[int(place)] if is_list else None
    except (ValueError, IndexError):
        found = None
    if found is None:
        raise ValueError(f"There is no {column!r} in {where}, in {row!r:.80}")
    return entry(found, rest, where) if rest else found


def _dots(column: str) -> list[int]:
    return [i for i in range(len(column) - 1, 0, -1) if column[i] == "."]
