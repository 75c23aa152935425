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

from keras_mtl.utils.files import append_row
from keras_mtl.utils.files import claim
from keras_mtl.utils.files import read_rows
from keras_mtl.utils.files import unlock

# The first key of a row.
CONFIG = "config"

Row = dict[str, Any]


def sweep(
    path: str | os.PathLike,
    cells: Iterable[Any],
    run: Callable[[Any], Row],
) -> None:
    """Runs the cells that a file of results does not have yet.

    Args:
        path: A file of JSON lines, one a cell, that grows. Several processes
            may share it: a run that another one is at is left to it.
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
    progress = keras.utils.Progbar(len(missing), unit_name="run")
    for cell in missing:
        # Left out where another process is at it.
        claimed = claim(path, _key(dataclasses.asdict(cell)))
        if claimed is not None:
            try:
                _run(path, cell, run)
            finally:
                unlock(claimed)
        progress.add(1)


def _run(path: pathlib.Path, cell: Any, run: Callable[[Any], Row]) -> None:
    """Runs a cell, unless another process has done so."""
    start = time.perf_counter()
    config = dataclasses.asdict(cell)
    if _key(config) in {_key(row) for row in read(path)}:
        return
    row = {CONFIG: config, **run(cell)}
    row["seconds"] = round(time.perf_counter() - start, 2)
    append_row(path, row)


def read(path: str | os.PathLike) -> list[Row]:
    """The rows of a file of results, one a cell.

    A line cut short by a kill is left out, with a warning; of a cell that is
    there twice, the last one counts.
    """
    return list({_key(row): row for row in read_rows(path, CONFIG)}.values())


def _key(row: Row) -> str:
    return json.dumps(row.get(CONFIG, row), sort_keys=True)
