"""The runs of a plan, shared by all processes that work in one folder."""

import pathlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from examples.runs import read_record
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock

Record = dict[str, Any]


def finder(folder: pathlib.Path) -> Callable[[Any], Record | None]:
    """Looks for finished runs in a folder.

    Returns:
        A function from a configuration, whose file is `<name>.json`, to the
        record of its run; `None` if that has no `result` yet.
    """

    def find(config: Any) -> Record | None:
        record = read_record(folder / f"{config.name}.json")
        return record if record and "result" in record else None

    return find


def run_all(
    configs: Sequence[Any],
    folder: pathlib.Path,
    title: str,
    train: Callable[[Any], Record],
    tell: Callable[[Record], str],
) -> None:
    """Trains what is not trained yet, and waits for what others train.

    Args:
        configs: Each with a `name`.
        folder: Where their records are.
        title: What the line of a run begins with.
        train: Writes the record of a run, and returns it; one that is there
            as it is.
        tell: What its line ends with.
    """
    find = finder(folder)
    # Those that another process is at come last, and are waited for.
    for patience in (0, -1):
        for config in configs:
            if find(config) is not None:
                continue
            lock = try_lock(folder / f"{config.name}.json", patience=patience)
            if lock is None:
                continue
            try:
                record = train(config)
            finally:
                unlock(lock)
            done = sum(find(other) is not None for other in configs)
            print(
                f"{title} {done}/{len(configs)}: {config.name} {tell(record)}",
                flush=True,
            )
