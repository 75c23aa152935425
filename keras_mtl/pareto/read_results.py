"""Points from files of results."""

import codecs
import csv
import io
import json
import math
import os
import re
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.pareto.columns import entry
from keras_mtl.pareto.directions import directions
from keras_mtl.pareto.points import Points
from keras_mtl.utils.argument_validation import is_number
from keras_mtl.utils.argument_validation import optional_path

Row = Mapping[str, Any]

INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
ENDINGS = (".jsonl", ".json", ".csv")
# Of a line that is no JSON, what a message shows.
# What some programs begin text with.
BOM = "\ufeff"
SHOWN = 80


def read_results(
    path: str | os.PathLike,
    tasks: Sequence[str] | Mapping[str, str],
    maximize: Any = None,
    where: Callable[[Row], bool] | None = None,
) -> Points:
    """Reads a point from each run of a file of results.

    Args:
        path: A file with a run a line: `.jsonl` of JSON objects, or `.csv`
            whose first line names the columns. Or `.json`, one run or a list
            of runs; or a folder with a `.json` for each run.
        tasks: The columns with the values of the tasks, which are their names
            as well; or a dict from names to columns. `"test.accuracy"` looks
            into an object of JSON, `"history.-1.loss"` into the last of a
            list.
        maximize: Whether larger values are better; see `non_dominated`. What
            is given here holds for all that is done with the points. By
            default it is asked for then.
        where: Function from the dict of a run to whether to take it, for
            files that hold others as well, or runs that failed.

    Returns:
        `Points`. Their `rows` are the dicts of the runs, so that
        `points.by("config.method")` groups them.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If a line is no run, if a run has no finite number for a
            task, or if there is no run at all.

    Example:

    ```python
    results = keras_mtl.pareto.read_results(
        "runs.jsonl",
        {"left": "test.left_accuracy", "right": "test.right_accuracy"},
        maximize=True,
    )
    results.rows[keras_mtl.pareto.best_mean(results)]["config"]
    ```
    """
    path = optional_path("path", path)
    columns = _columns(tasks)
    if maximize is not None:
        maximize = directions(maximize, list(columns), len(columns))
    found = [(name, row) for name, row in _rows(path) if _is_run(name, row)]
    if where is not None:
        found = [(name, row) for name, row in found if where(row)]
    if not found:
        raise ValueError(
            f"'{path}' must hold a run"
            f"{'' if where is None else ' for which `where` is true'}. "
            "Received: none"
        )
    values = [
        [_number(row, column, name) for column in columns.values()]
        for name, row in found
    ]
    rows = [row for _, row in found]
    return Points(np.array(values), list(columns), maximize, rows)


def _columns(tasks: Any) -> dict[str, str]:
    if isinstance(tasks, Mapping):
        columns = {str(task): column for task, column in tasks.items()}
    elif isinstance(tasks, str) or not isinstance(tasks, Sequence):
        columns = {}
    else:
        columns = {str(column): column for column in tasks}
    are_names = all(isinstance(c, str) and c for c in columns.values())
    if not columns or not are_names or len(columns) < len(tasks):
        raise ValueError(
            "`tasks` must be a sequence of columns, or a dict from names of "
            f"tasks to columns. Received: tasks={tasks!r}"
        )
    return columns


def _rows(path: Path | None) -> Iterator[tuple[str, Any]]:
    """Runs, and where they were found, for messages."""
    if path is None:
        raise ValueError("`path` must be a file or a folder. Received: None")
    if path.is_dir():
        for inner in sorted(path.glob("*.json")):
            yield from _rows(inner)
    elif path.suffix == ".jsonl":
        yield from _json_lines(path)
    elif path.suffix == ".json":
        text = _decoded(path.read_bytes(), f"'{path}'")
        found = _parse(text.removeprefix(BOM), f"'{path}'")
        runs = found if isinstance(found, list) else [found]
        for place, row in enumerate(runs):
            yield f"run {place} of '{path}'", row
    elif path.suffix == ".csv":
        yield from _csv(path)
    else:
        raise ValueError(
            f"`path` must be a folder, or end in one of {list(ENDINGS)}. "
            f"Received: path='{path}'"
        )


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"line {number} of '{path}'"
        try:
            yield where, _parse(_decoded(line, where), where)
        except ValueError:
            if number < len(lines):
                raise
            # No end of line: its process was killed, or is just writing it.
            warnings.warn(
                f"{where} is not whole and is left out: "
                f"{line.decode(errors='replace')[:SHOWN]}",
                stacklevel=5,
            )


def _csv(path: Path) -> Iterator[tuple[str, Any]]:
    text = _decoded(path.read_bytes(), f"'{path}'").removeprefix(BOM)
    with io.StringIO(text, newline="") as file:
        reader = csv.DictReader(file)
        names = list(reader.fieldnames or ())
        if len(set(names)) < len(names):
            raise ValueError(
                f"'{path}' must have different names of columns. Received: "
                f"{names}"
            )
        for row in reader:
            where = f"line {reader.line_num} of '{path}'"
            if None in row or None in row.values():
                raise ValueError(
                    f"{where} must have as many entries as there are columns: "
                    f"{reader.fieldnames}. Received: {list(row.values())}"
                )
            yield where, {name: _from_text(text) for name, text in row.items()}


def _from_text(text: str) -> Any:
    """What JSON would hold: a number, a bool, `None` or the text."""
    if INTEGER.fullmatch(text):
        return int(text)
    known = {"": None, "true": True, "false": False}
    if text.lower() in known:
        return known[text.lower()]
    # Python's float takes more: "1_0" is a name, and 1e999 is too large.
    if NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where} must be text in UTF-8. Received: {line[:SHOWN]!r} "
            f"({error})"
        ) from error


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{where} must be JSON. Received: {text[:SHOWN]!r} ({error})"
        ) from error


def _is_run(where: str, row: Any) -> bool:
    if not isinstance(row, dict):
        raise ValueError(
            f"{where} must be a run: an object with named entries. Received: "
            f"{row!r:.80}"
        )
    return True


def _number(row: Row, column: str, where: str) -> float:
    value = entry(row, column, where)
    if not is_number(value):
        raise ValueError(
            f"{column!r} must be a finite number in each run. Leave out those "
            "that failed: `where=lambda run: ...`. Received: "
            f"{value!r:.80} in {where}"
        )
    return float(value)
