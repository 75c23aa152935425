"""A search for the mix of tasks that is best for the main one."""

import json
import math
import os
import random
from collections.abc import Callable
from collections.abc import Mapping
from itertools import product
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_mtl.selection.gaussian_process import expected_improvement
from keras_mtl.selection.gaussian_process import fit_gaussian_process
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import is_integer
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import one_of
from keras_mtl.utils.argument_validation import optional_file
from keras_mtl.utils.files import append_row
from keras_mtl.utils.files import claim
from keras_mtl.utils.files import claimed
from keras_mtl.utils.files import read_rows
from keras_mtl.utils.files import unlock

# More mixes than these are not all looked at, but so many of them.
MAX_CANDIDATES = 10_000

# The first key of a line in the file.
ROW = "ratios"

Ratios = tuple[int, ...]


class Evaluation(NamedTuple):
    """What one mix of tasks has led to.

    Attributes:
        ratios: By task, the integer ratio.
        value: The metric; NaN where the training failed.
    """

    ratios: dict[str, int]
    value: float


class MixingRatioSearch:
    """Searches mixing ratios by Gaussian processes; AutoSeM's second stage.

    A mix is one integer a task: 2:1:0 means two batches of the first task for
    one of the second and none of the third. What a mix is worth only a
    training can tell, so each evaluation should count: after some random
    mixes, a Gaussian process is fitted to the values found so far, and the
    mix of largest expected improvement comes next.

    With `path`, each evaluation is appended to a file of JSON lines. Another
    process, or a later call, goes on from there, with the mixes that it would
    have tried. What is found there must be within the bounds, and of the same
    `mode`. Several processes may search at the same time with one file: each
    takes in what the others have found, and a mix that none of them is at. A
    line that a killed process or a full disk left unfinished is taken out, with
    a warning that quotes it.

    The paper leaves the process to a library; as in that library, the kernel
    is a Matern of 5/2. Here mixes are compared by the shares of the tasks, as
    2:2 trains as 1:1 does: ratios are divided by their common divisor, and no
    mix is evaluated twice. Needs scikit-learn and, with `path`, filelock
    (`pip install 'keras_mtl[selection]'`).

    Args:
        bounds: Dict from the names of the tasks to `(low, high)`: their
            smallest and largest ratio, integers from 0 up. Give the main task
            a low of 1.
        mode: `"max"` if a large value is good, `"min"` if a small one is.
        path: File for the evaluations, or `None`.
        num_initial: int. How many random mixes come first.
        noise: float > 0. Variance of the values of one mix, in units of the
            variance over the mixes: 1e-6 (default) takes them as exact; try
            0.1 where another seed of the training gives other values.
        seed: int or `None`. By default drawn from Python's generator, which
            `keras.utils.set_random_seed` seeds. Give one where the search is
            to be resumed.

    Attributes:
        evaluations: List of `Evaluation`s in the order of the search.

    Raises:
        ValueError: If an argument does not fit, or if the file holds another
            search.
        OSError: If the file cannot be read or written.

    Example:

    ```python
    def train(ratios):
        dataset = keras_mtl.selection.mix_datasets(data, ratios, batch_size=32)
        model = make_model()
        history = model.fit(dataset, steps_per_epoch=500, ...)
        return max(history.history["val_main_accuracy"])


    search = keras_mtl.selection.MixingRatioSearch(
        {"main": (1, 5), "tags": (0, 5), "topic": (0, 5)}, path="mixes.jsonl"
    )
    search.run(train, num_evaluations=20)
    search.best.ratios  # {"main": 3, "tags": 1, "topic": 0}
    ```

    References:

    - [Guo et al., "AutoSeM: Automatic Task Selection and Mixing in Multi-Task
      Learning", 2019](https://arxiv.org/abs/1904.04153)
    """

    def __init__(
        self,
        bounds: Mapping[str, tuple[int, int]],
        mode: str = "max",
        path: str | os.PathLike | None = None,
        num_initial: int = 5,
        noise: float = 1e-6,
        seed: int | None = None,
    ):
        if mode not in ("min", "max"):
            raise ValueError(
                f"`mode` must be 'min' or 'max'. Received: mode={mode!r}"
            )
        self.bounds = _bounds(bounds)
        self.mode = mode
        self.path = optional_file("path", path)
        self.num_initial = integer_from(1, "num_initial", num_initial)
        self.noise = number_above_zero("noise", noise)
        if seed is None:
            seed = random.randrange(2**31)
        self.seed = integer_from(0, "seed", seed)
        self.evaluations: list[Evaluation] = []
        # Keeps other processes from the mix that this one is at.
        self._claim: Any = None
        self._load()

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks."""
        return list(self.bounds)

    @property
    def best(self) -> Evaluation:
        """The best evaluation so far."""
        found = [e for e in self.evaluations if not math.isnan(e.value)]
        if not found:
            raise ValueError("No mix with a finite value was evaluated yet.")
        return max(found, key=lambda e: self._sign * e.value)

    def run(
        self,
        evaluate: Callable[[dict[str, int]], float],
        num_evaluations: int,
        verbose: int = 1,
    ) -> Evaluation:
        """Evaluates mixes until there are so many evaluations.

        Args:
            evaluate: Function from a dict of ratios by task to the value, a
                number. One that is not finite counts as the worst.
            num_evaluations: int. How many there are to be in all, with those
                that the file held.
            verbose: 0, or 1 for a progress bar.

        Returns:
            The best evaluation. There are fewer than `num_evaluations` where
            the bounds allow of no more mixes.
        """
        if not callable(evaluate):
            raise ValueError(
                "`evaluate` must be a function from the ratios to the value. "
                f"Received: evaluate={evaluate!r}"
            )
        num_evaluations = integer_from(1, "num_evaluations", num_evaluations)
        bar = keras.utils.Progbar(num_evaluations, verbose=verbose)
        bar.update(min(len(self.evaluations), num_evaluations))
        try:
            while len(self.evaluations) < num_evaluations:
                ratios = self.suggest()
                # By now, others may have done it.
                is_done = len(self.evaluations) >= num_evaluations
                if ratios is None or is_done:
                    break
                self.add(ratios, _value(ratios, evaluate(dict(ratios))))
                bar.update(min(len(self.evaluations), num_evaluations))
        finally:
            self._let_go()
        return self.best

    def suggest(self) -> dict[str, int] | None:
        """The mix to evaluate next, or `None` if there is none left.

        It depends on the seed and on the evaluations alone, and with `path`
        on the mixes that other processes are at. They leave it to this search
        until `add` is called, or `suggest` again.
        """
        self._let_go()
        self._load()
        done = {self._key(e.ratios) for e in self.evaluations}
        draw = np.random.default_rng([self.seed, len(done)])
        candidates = [c for c in self._candidates(draw) if c not in done]
        taken = self._taken(candidates)
        while len(taken) < len(candidates):
            if len(done) < self.num_initial:
                chosen = candidates[draw.integers(len(candidates))]
                if chosen in taken:
                    continue
            else:
                free = [c for c in candidates if c not in taken]
                chosen = free[self._most_promising(free, taken)]
            if self._take(chosen):
                self._load()
                if any(self._key(e.ratios) == chosen for e in self.evaluations):
                    return self.suggest()  # another process has just done it
                return dict(zip(self.tasks, chosen, strict=True))
            taken.append(chosen)  # another process was faster
        return None

    def add(self, ratios: Mapping[str, int], value: float) -> None:
        """Takes in what a mix was worth.

        Args:
            ratios: By task, integers from 0 up, within the bounds.
            value: float; what is not finite is kept as NaN.
        """
        key = self._key_within_bounds(ratios)
        value = _value(dict(ratios), value)
        evaluation = Evaluation(
            dict(zip(self.tasks, key, strict=True)),
            value if math.isfinite(value) else math.nan,
        )
        if self.path is not None:
            # First, so that a full disk leaves it to be added once more.
            self._append(evaluation)
        self.evaluations.append(evaluation)
        self._let_go()

    @property
    def _sign(self) -> int:
        return 1 if self.mode == "max" else -1

    def _key(self, ratios: Mapping[str, int]) -> Ratios:
        """Ratios without their common divisor, in the order of the tasks."""
        if set(ratios) != set(self.tasks):
            raise ValueError(
                f"`ratios` must name the tasks {self.tasks}. Received: "
                f"ratios={dict(ratios)}"
            )
        values = [integer_from(0, "ratios", ratios[t]) for t in self.tasks]
        if not any(values):
            raise ValueError(
                "`ratios` must hold a number above 0. Received: "
                f"ratios={dict(ratios)}"
            )
        return _reduced(values)

    def _key_within_bounds(self, ratios: Mapping[str, int]) -> Ratios:
        """As `_key`, of a mix that some ratios within the bounds make."""
        key = self._key(ratios)
        most = max(high for _, high in self.bounds.values())
        for times in range(1, most + 1):
            if all(
                low <= times * ratio <= high
                for ratio, (low, high) in zip(
                    key, self.bounds.values(), strict=True
                )
            ):
                return key
        raise ValueError(
            f"`ratios` must be within the bounds {self.bounds}. Received: "
            f"ratios={dict(ratios)}"
        )

    def _candidates(self, draw: np.random.Generator) -> list[Ratios]:
        lows, highs = np.array(list(self.bounds.values())).T
        if np.prod(highs - lows + 1.0) <= MAX_CANDIDATES:
            ranges = [
                range(low, high + 1)
                for low, high in zip(lows, highs, strict=True)
            ]
            found = product(*ranges)
        else:
            found = draw.integers(
                lows, highs, (MAX_CANDIDATES, len(lows)), endpoint=True
            ).tolist()
        return sorted({_reduced(ratios) for ratios in found if any(ratios)})

    def _most_promising(
        self, candidates: list[Ratios], taken: list[Ratios]
    ) -> int:
        values = self._sign * np.array([e.value for e in self.evaluations])
        if np.all(np.isnan(values)):
            values = np.zeros_like(values)
        # A training that failed is to be avoided, however it failed.
        values = np.where(np.isnan(values), np.nanmin(values), values)
        mixes = [self._key(e.ratios) for e in self.evaluations]
        # Until a mix that another process is at has a value, the mean stands
        # for it. Else the neighbour of that mix would come next.
        pending = np.full(len(taken), values.mean())
        process = fit_gaussian_process(
            _shares([*mixes, *taken]),
            np.concatenate([values, pending]),
            self.noise,
            self.seed,
        )
        mean, deviation = process.predict(_shares(candidates), return_std=True)
        return int(
            np.argmax(expected_improvement(mean, deviation, values.max()))
        )

    # -- the file -------------------------------------------------------------

    def _append(self, evaluation: Evaluation) -> None:
        value = evaluation.value
        entry = {
            ROW: evaluation.ratios,
            "value": None if math.isnan(value) else value,
            "mode": self.mode,
        }
        try:
            append_row(self.path, entry)
        except OSError as error:
            error.add_note(
                "To keep what was found, call `add("
                f"{evaluation.ratios}, {value})` when the file can be written."
            )
            raise

    def _load(self) -> None:
        """Takes in what the file holds, of this process or another one."""
        if self.path is None:
            return
        try:
            rows = read_rows(self.path, ROW)
        except ValueError as error:
            raise self._wrong_file(str(error)) from error
        found = [self._evaluation(row) for row in rows]
        keys = [self._key(evaluation.ratios) for evaluation in found]
        # Of a file that was removed, what this search knows remains.
        self.evaluations = found + [
            evaluation
            for evaluation in self.evaluations
            if self._key(evaluation.ratios) not in keys
        ]

    def _evaluation(self, row: dict[str, Any]) -> Evaluation:
        """What a line of the file says."""
        try:
            key = self._key_within_bounds(row["ratios"])
            value = math.nan if row["value"] is None else row["value"]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"The value is no number: {value!r}")
            one_of("mode", row.get("mode", self.mode), [self.mode])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._wrong_file(
                f"the line {json.dumps(row)}, {type(error).__name__}: {error}"
            ) from error
        if not math.isfinite(value):
            value = math.nan
        return Evaluation(dict(zip(self.tasks, key, strict=True)), float(value))

    def _wrong_file(self, received: str) -> ValueError:
        return ValueError(
            f"'{self.path}' does not hold the mixes of this search, with "
            f"bounds={self.bounds} and mode='{self.mode}'. Give another "
            f"`path`. Received: {received}"
        )

    def _taken(self, candidates: list[Ratios]) -> list[Ratios]:
        """The mixes that other processes are at."""
        if self.path is None:
            return []
        names = {str(candidate): candidate for candidate in candidates}
        return [names[name] for name in claimed(self.path, list(names))]

    def _take(self, mix: Ratios) -> bool:
        """Whether this search may evaluate a mix, and no other one."""
        if self.path is not None:
            self._claim = claim(self.path, str(mix))
        return self.path is None or self._claim is not None

    def _let_go(self) -> None:
        if self._claim is not None:
            unlock(self._claim)
            self._claim = None


def _value(ratios: dict[str, int], value: Any) -> float:
    """A value as a float; the training that found it is not to be lost."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "The value of a mix must be a number, which the function "
            "`evaluate` is to return. To keep what was found, call `add("
            f"{ratios}, value)` with it. Received: {value!r} for {ratios}"
        ) from error


def _shares(ratios: list[Ratios]) -> np.ndarray:
    """Mixes as points: the share of each task."""
    ratios = np.array(ratios, "float64")
    return ratios / ratios.sum(axis=1, keepdims=True)


def _reduced(ratios: Any) -> Ratios:
    divisor = math.gcd(*ratios)
    return tuple(int(ratio) // divisor for ratio in ratios)


def _bounds(bounds: Any) -> dict[str, tuple[int, int]]:
    if not isinstance(bounds, Mapping) or not bounds:
        raise ValueError(
            "`bounds` must be a dict from names of tasks to pairs `(low, "
            f"high)`. Received: bounds={bounds!r}"
        )
    result = {}
    for task, pair in bounds.items():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(
                f"`bounds` of task '{task}' must be a pair `(low, high)`. "
                f"Received: {pair!r}"
            )
        low, high = pair
        are_integers = is_integer(low) and is_integer(high)
        if not are_integers or low < 0 or high < max(low, 1):
            raise ValueError(
                f"`bounds` of task '{task}' must be integers `(low, high)`, "
                "low from 0 up, and high at least low and at least 1. "
                f"Received: {pair!r}"
            )
        result[task] = (int(low), int(high))
    return result
