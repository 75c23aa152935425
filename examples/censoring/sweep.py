"""Runs many settings and seeds, and keeps each result as it comes."""

import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras

Row = dict[str, Any]


def sweep(
    path: str | os.PathLike,
    cells: Iterable[Any],
    run: Callable[[Any], Row],
) -> None:
    """Runs the cells that a file of results does not have yet.

    Args:
        path: A file of JSON lines, one a cell, that grows. Several processes
            may share it: before each run it is read again.
        cells: Frozen dataclasses whose fields tell the cells apart.
        run: Gives what was measured for a cell.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = list(dict.fromkeys(cells))  # a flag may name a value twice
    done = {_key(row) for row in read(path)}
    missing = [c for c in cells if _key(dataclasses.asdict(c)) not in done]
    print(
        f"{path}: {len(cells) - len(missing)} of {len(cells)} runs are there."
    )
    if not missing:
        return
    _end_last_line(path)
    progress = keras.utils.Progbar(len(missing), unit_name="run")
    for cell in missing:
        start = time.perf_counter()
        config = dataclasses.asdict(cell)
        if _key(config) in {_key(row) for row in read(path)}:
            progress.add(1)  # another process was faster
            continue
        row = {"config": config, **run(cell)}
        row["seconds"] = round(time.perf_counter() - start, 2)
        # One write a line: another process may append at the same time.
        with open(path, "a") as file:
            file.write(json.dumps(row) + "\n")
        progress.add(1)


def read(path: str | os.PathLike) -> list[Row]:
    """The rows of a file of results, one a cell.

    A line cut short by a kill is left out; of a cell that two processes ran at
    the same time, the last one counts.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    rows = {}
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[_key(row)] = row
    return list(rows.values())


def _end_last_line(path: pathlib.Path) -> None:
    """Ends a line that a kill cut short, so that the next one stands alone."""
    if path.exists() and not path.read_text().endswith("\n"):
        with open(path, "a") as file:
            file.write("\n")


def _key(row: Row) -> str:
    return json.dumps(row.get("config", row), sort_keys=True)
