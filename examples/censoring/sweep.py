"""Runs many settings and seeds, and keeps each result as it comes."""

import dataclasses
import json
import math
import os
import pathlib
import time
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras
from absl import app

Row = dict[str, Any]


def sweep(
    path: str | os.PathLike,
    cells: Iterable[Any],
    run: Callable[[Any], Row],
) -> None:
    """Runs the cells that a file of results does not have yet.

    Args:
        path: A file of JSON lines, one a cell, that grows. Several processes
            may share it, if their cells differ.
        cells: Frozen dataclasses whose fields tell the cells apart.
        run: Gives what was measured for a cell.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = list(cells)
    done = {_key(row) for row in read(path)}
    missing = [c for c in cells if _key(dataclasses.asdict(c)) not in done]
    print(
        f"{path}: {len(cells) - len(missing)} of {len(cells)} runs are there."
    )
    if not missing:
        return
    progress = keras.utils.Progbar(len(missing), unit_name="run")
    for cell in missing:
        start = time.perf_counter()
        config = dataclasses.asdict(cell)
        row = {"config": config, **run(cell)}
        row["seconds"] = round(time.perf_counter() - start, 2)
        # One write a line: another process may append at the same time.
        with open(path, "a") as file:
            file.write(json.dumps(row) + "\n")
        progress.add(1)


def read(path: str | os.PathLike) -> list[Row]:
    """The rows of a file of results; a line cut short by a kill is left out."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def numbers(flag: str, values: list[str]) -> list[float]:
    """The numbers that a flag lists, from 0 up.

    Raises:
        app.UsageError: If they are none.
    """
    try:
        found = [float(value) for value in values]
    except ValueError as error:
        raise app.UsageError(f"--{flag}: {error}") from error
    if not found or not all(0 <= number < math.inf for number in found):
        raise app.UsageError(f"--{flag}: numbers from 0 up, not {values}")
    return found


def _key(row: Row) -> str:
    return json.dumps(row.get("config", row), sort_keys=True)
