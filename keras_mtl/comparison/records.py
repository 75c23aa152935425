"""The files of a comparison: one of JSON for each run."""

import contextlib
import json
import math
import secrets
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import NamedTuple

from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock
from keras_mtl.utils.files import write_whole

Record = dict[str, Any]


class Planned(NamedTuple):
    """A model to be judged on test data."""

    method: str
    seed: int
    preference: dict[str, float] | None


class Records:
    """Names, reads and writes the files in a folder.

    Args:
        folder: Made if it is missing.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.setup = folder / "comparison.json"
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def num_trials(self) -> int:
        """How many trials each method is to have."""
        return (read(self.setup) or {}).get("trials", 0)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Waits for other processes to leave what all of them share."""
        lock = try_lock(self.folder / "study", patience=-1)
        try:
            yield
        finally:
            unlock(lock)

    def studies_name(self) -> str:
        """What the names of the studies begin with; ask for it `alone`.

        It is kept, so that the folder may be moved, and no other folder's, so
        that several may share a storage.
        """
        before = read(self.setup)
        if before is None:
            before = {}
            name = f"{self.folder.name}-{secrets.token_hex(4)}"
        else:
            name = before.get("studies", self.folder.name)
        if "studies" not in before:
            write(self.setup, {**before, "studies": name})
        return name

    def trial_path(self, method: str, number: int) -> Path:
        return self.folder / "trials" / f"{method}-{number}.json"

    def find_trial(self, method: str, number: int) -> Record | None:
        return read(self.trial_path(method, number))

    def write_trial(self, method: str, number: int, record: Record) -> None:
        head = {"method": method, "trial": number}
        write(self.trial_path(method, number), {**head, **record})

    def test_path(self, number: int, test: Planned) -> Path:
        """The file of a test whose settings are those of a trial."""
        folder = "seeds" if test.preference is None else "fronts"
        weights = (test.preference or {}).values()
        along = "".join(f"-{weight:.9g}" for weight in weights)
        name = f"{test.method}-trial{number}{along}-seed{test.seed}.json"
        return self.folder / folder / name

    def tests(self) -> list[Record]:
        paths = [
            path
            for folder in ("seeds", "fronts")
            for path in sorted((self.folder / folder).glob("*.json"))
        ]
        return [record for path in paths if (record := read(path)) is not None]

    def check_setup(self, setup: Record, trials: int) -> None:
        """Keeps what runs have in common, or compares it.

        Args:
            setup: What may not change.
            trials: How many there are for each method, which may.

        Raises:
            ValueError: If the folder holds runs with something else.
        """
        with self.alone():
            before = read(self.setup) or {}
            changed = {
                key: (before[key], value)
                for key, value in setup.items()
                if before.get(key, value) != value
            }
            if changed and self._has_runs():
                raise ValueError(
                    "`directory` holds runs of another comparison, which "
                    "cannot be compared with new ones. Choose another "
                    "directory, or remove it. Received (there, now): "
                    f"{changed}"
                )
            if changed:
                # The first run failed, such as by a name of a metric.
                before = {"studies": before["studies"]}
            write(self.setup, {**before, **setup, "trials": trials})

    def _has_runs(self) -> bool:
        """Whether a trial has ended, is being trained, or was killed."""
        folder = self.folder / "trials"
        return folder.exists() and any(folder.iterdir())

    def check_scores(self, score: Callable[[dict[str, float]], float]) -> None:
        """Compares the score of finished trials with what it is now.

        Raises:
            ValueError: If it is another one.
        """
        for path in sorted((self.folder / "trials").glob("*.json")):
            record = read(path) or {}
            if "score" in record:
                now = score(record["validation"])
                if not math.isclose(now, record["score"], rel_tol=1e-9):
                    raise ValueError(
                        "`score` must be as it was when `directory` was begun, "
                        "for trials are chosen by it. Choose another "
                        f"directory, or remove it. Received: {now} for "
                        f"'{path}', where it was {record['score']}"
                    )


def read(path: Path) -> Record | None:
    """What a file holds, or `None` if there is none."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"'{path}' must hold a run as JSON. Remove it to run anew. "
            f"Received: {error}"
        ) from error
    return found


def write(path: Path, record: Record) -> None:
    """Writes a file as a whole, or not at all when killed."""
    write_whole(path, json.dumps(record, indent=1))
