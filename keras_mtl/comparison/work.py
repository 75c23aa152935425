"""The runs of a comparison, done one after the other, by all who share them."""

from typing import Any

from keras_mtl.comparison.method_arguments import MethodArguments
from keras_mtl.comparison.method_arguments import Preference
from keras_mtl.comparison.optional import import_optuna
from keras_mtl.comparison.progress import Progress
from keras_mtl.comparison.records import Planned
from keras_mtl.comparison.records import Record
from keras_mtl.comparison.records import Records
from keras_mtl.comparison.records import read
from keras_mtl.comparison.records import write
from keras_mtl.comparison.run import Run
from keras_mtl.comparison.trial import Trial
from keras_mtl.comparison.trials import Asked
from keras_mtl.comparison.trials import Trials
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock


class Work:
    """What is done, and what is left to do.

    Args:
        methods: Their arguments by name.
        records: The files of the runs.
        trials: The trials of settings.
        seed: Of trials; tests have the seeds after it.
    """

    def __init__(
        self,
        methods: dict[str, MethodArguments],
        records: Records,
        trials: Trials,
        seed: int,
    ):
        self.methods = methods
        self.records = records
        self.trials = trials
        self.seed = seed

    def tests(self, seeds: int, preferences: list[Preference]) -> list[Planned]:
        """The models that are to be tested."""
        return [
            Planned(method, self.seed + 1 + index, preference)
            for method, arguments in self.methods.items()
            for preference in arguments.preferences(preferences)
            for index in range(seeds)
        ]

    def tune(self, run: Run, progress: Progress) -> None:
        """Trains trials, of each method in turn, until there are enough."""
        left = list(self.methods)
        while left:
            for method in list(left):
                asked = self.trials.ask(method, self.records.num_trials)
                if asked is not None:
                    self._try(run, asked)
                    progress.show(f"{method}, trial {asked.number}")
                    continue
                others = self.trials.running(method)
                if not others:
                    left.remove(method)
                elif left == [method]:
                    # It may be interrupted yet, and is then to be repeated.
                    self.trials.wait_for(method, others[0])

    def test(self, run: Run, tests: list[Planned], progress: Progress) -> None:
        """Trains and tests models with the settings that were chosen."""
        best = {method: self._best(method) for method in self.methods}
        todo, waits = tests, False
        while todo:
            for test in todo:
                if self._test(run, test, *best[test.method], waits):
                    progress.show(f"{test.method}, seed {test.seed}")
            # What others were at is waited for: they may be killed.
            todo, waits = [t for t in todo if not self._is_done(t, best)], True

    def tested(self) -> list[Record]:
        """Records of tests of the settings that are best by now."""
        best = {method: self._chosen(method) for method in self.methods}
        return [
            record
            for record in self.records.tests()
            if (chosen := best.get(record["method"])) is not None
            and record["trial"] == chosen[0]
        ]

    def count(self) -> int:
        """How many runs are finished."""
        return sum(map(self.trials.ended, self.methods)) + len(self.tested())

    def _try(self, run: Run, asked: Asked) -> None:
        record = None
        try:
            trial = self._trial(asked.method, asked.trial, self.seed)
            record = run(trial, test=False, after_epoch=asked.after_epoch)
        finally:
            asked.end(record)

    def _test(
        self,
        run: Run,
        test: Planned,
        number: int,
        parameters: dict[str, Any],
        waits: bool,
    ) -> bool:
        """Tests a model, unless another process does or has done so."""
        path = self.records.test_path(number, test)
        lock = try_lock(path, patience=-1 if waits else 0)
        if lock is None:
            return False
        try:
            if read(path) is not None:
                return False
            chosen = import_optuna().trial.FixedTrial(parameters)
            trial = self._trial(test.method, chosen, test.seed, test.preference)
            record = run(trial, test=True)
            write(path, {"trial": number, **record})
        finally:
            unlock(lock)
        return True

    def _is_done(self, test: Planned, best: dict[str, Any]) -> bool:
        number, _ = best[test.method]
        return read(self.records.test_path(number, test)) is not None

    def _trial(
        self,
        method: str,
        suggestions: Any,
        seed: int,
        preference: Preference = None,
    ) -> Trial:
        arguments = self.methods[method]
        return Trial(method, arguments, suggestions, seed, preference)

    def _chosen(self, method: str) -> tuple[int, dict[str, Any]] | None:
        return self.trials.best(method, self.records.num_trials)

    def _best(self, method: str) -> tuple[int, dict[str, Any]]:
        found = self._chosen(method)
        if found is None:
            raise ValueError(
                f"No trial of method {method!r} came to its end with finite "
                "metrics. Let `build` suggest smaller learning rates, or leave "
                f"the method out. Received: trials={self.records.num_trials}"
            )
        return found
