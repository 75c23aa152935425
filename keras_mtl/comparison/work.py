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

# Number and settings of the trial that was chosen for a method.
Best = tuple[int, dict[str, Any]]


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
            others = {}
            for method in list(left):
                asked = self.trials.ask(method, self.records.num_trials)
                if asked is not None:
                    self._try(run, asked)
                    progress.show(f"{method}, trial {asked.number}")
                elif running := self.trials.running(method):
                    others[method] = running[0]
                else:
                    left.remove(method)
            if others and list(others) == left:
                # They may be interrupted yet, and are then to be repeated.
                self.trials.wait_for(*next(iter(others.items())))

    def test(self, run: Run, tests: list[Planned], progress: Progress) -> None:
        """Trains and tests models with the settings that were chosen."""
        best = {method: self._best(method) for method in self.methods}
        todo, waits = tests, False
        while todo:
            for test in todo:
                if self._test(run, test, best[test.method], waits):
                    progress.show(f"{test.method}, seed {test.seed}")
            # What others were at is waited for: they may be killed.
            todo = [t for t in todo if not self._is_done(t, best[t.method])]
            waits = True

    def tested(self) -> list[Record]:
        """Records of tests of the settings that are best by now."""
        best = {method: self._chosen(method) for method in self.methods}
        found = [
            record
            for record in self.records.tests()
            if _is_of(record, best.get(record["method"]))
        ]
        order = list(self.methods)
        return sorted(
            found, key=lambda row: (order.index(row["method"]), row["seed"])
        )

    def count(self) -> int:
        """How many runs are finished."""
        wanted = self.records.num_trials
        tuned = (min(self.trials.ended(m), wanted) for m in self.methods)
        return sum(tuned) + len(self.tested())

    def _try(self, run: Run, asked: Asked) -> None:
        try:
            trial = self._trial(asked.method, asked.trial, self.seed)
            record = run(trial, test=False, after_epoch=asked.after_epoch)
        except Exception:
            asked.fail()
            raise
        except BaseException:  # Somebody pressed Ctrl-C.
            asked.leave()
            raise
        asked.end(record)

    def _test(
        self,
        run: Run,
        test: Planned,
        best: Best,
        waits: bool,
    ) -> bool:
        """Tests a model, unless another process does or has done so."""
        number, parameters = best
        path = self.records.test_path(number, test)
        lock = try_lock(path, patience=-1 if waits else 0)
        if lock is None:
            return False
        try:
            if self._is_done(test, best):
                return False
            chosen = import_optuna().trial.FixedTrial(parameters)
            trial = self._trial(test.method, chosen, test.seed, test.preference)
            record = run(trial, test=True)
            write(path, {"trial": number, **record})
        finally:
            unlock(lock)
        return True

    def _is_done(self, test: Planned, best: Best) -> bool:
        record = read(self.records.test_path(best[0], test))
        return record is not None and _is_of(record, best)

    def _trial(
        self,
        method: str,
        suggestions: Any,
        seed: int,
        preference: Preference = None,
    ) -> Trial:
        arguments = self.methods[method]
        return Trial(method, arguments, suggestions, seed, preference)

    def _chosen(self, method: str) -> Best | None:
        return self.trials.best(method, self.records.num_trials)

    def _best(self, method: str) -> Best:
        found = self._chosen(method)
        if found is None:
            raise ValueError(
                f"No trial of method {method!r} came to its end with finite "
                "metrics. Let `build` suggest smaller learning rates, or leave "
                f"the method out. Received: trials={self.records.num_trials}"
            )
        return found


def _is_of(record: Record, best: Best | None) -> bool:
    """Whether a test has the settings of a trial.

    The number alone does not say so: another storage has other trials.
    """
    return best is not None and best == (record["trial"], record["parameters"])
