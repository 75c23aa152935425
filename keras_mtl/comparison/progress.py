"""How far a comparison has come."""

import sys
from collections.abc import Callable

import keras

VERBOSE = (0, 1, 2, "auto")


class Progress:
    """Shows how many runs are finished, also those of other processes.

    Args:
        total: How many there will be.
        verbose: 0, 1 for a bar, 2 for lines, or `"auto"`.
        count: Says how many are finished.
    """

    def __init__(
        self, total: int, verbose: int | str, count: Callable[[], int]
    ):
        if verbose not in VERBOSE:
            raise ValueError(
                f"`verbose` must be one of {list(VERBOSE)}. Received: "
                f"verbose={verbose!r}"
            )
        if verbose == "auto":
            verbose = 1 if sys.stdout.isatty() else 2
        self.total = total
        self.verbose = int(verbose)
        self.count = count
        self.bar = keras.utils.Progbar(total, unit_name="run")

    def show(self, done: str) -> None:
        """Shows the new count, and in lines what was just finished."""
        if self.verbose == 0:
            return
        count = min(self.count(), self.total)
        if self.verbose == 1:
            self.bar.update(count)
        else:
            print(f"{count}/{self.total} {done}", flush=True)
