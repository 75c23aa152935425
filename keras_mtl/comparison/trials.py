"""Trials of settings, shared by processes that may be killed at any time."""

import warnings
import zlib
from collections.abc import Callable
from typing import Any

from keras_mtl.comparison.optional import import_optuna
from keras_mtl.comparison.records import Records
from keras_mtl.comparison.run import COMPLETE
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock

STAGE = "tune"
# Seconds that SQLite waits for another process.
PATIENCE = 300


class Trials:
    """An Optuna study for each method, and a record for each trial.

    Whoever is at a trial holds the lock of its record, which the system takes
    from a process that is killed. A trial that runs without anybody at it was
    interrupted: it fails, and the next one repeats its settings.

    Args:
        records: Where the records are.
        storage: Optuna's storage, or its URL, or `None` for a file of SQLite
            beside the records.
        sampler: From `seed=` to an Optuna sampler, or `None` for its default.
        pruner: Optuna's pruner, or `None` for none.
        seed: int.

    Raises:
        ValueError: If what Optuna is given is not what it takes.
    """

    def __init__(
        self,
        records: Records,
        storage: Any,
        sampler: Callable[..., Any] | None,
        pruner: Any,
        seed: int,
    ):
        self.optuna = import_optuna()
        self._check(storage, sampler, pruner)
        self.records = records
        self.sampler = sampler or self._default_sampler
        self.pruner = pruner or self.optuna.pruners.NopPruner()
        self.seed = seed
        self.studies: dict[str, Any] = {}
        with self.records.alone():
            self.storage = self._open(storage)
            self.studies_name = self.records.studies_name()

    def ask(self, method: str, count: int) -> "Asked | None":
        """The next trial of a method, if one is missing.

        Args:
            method: Name of the method.
            count: How many trials a method has.
        """
        with self.records.alone():
            study = self._study(method)
            self._tidy(study, method)
            states = self.optuna.trial.TrialState
            counted = (states.COMPLETE, states.PRUNED, states.RUNNING)
            if len(study.get_trials(deepcopy=False, states=counted)) >= count:
                return None
            study.sampler = self._next_sampler(study)
            trial = study.ask()
            lock = try_lock(self.records.trial_path(method, trial.number))
        if lock is None:
            raise ValueError(
                "`storage` must be one that all processes share: another one "
                f"is at trial {trial.number} of method {method!r}, which this "
                f"one was to begin. Received: storage={self.storage!r}"
            )
        # Of another storage, whose trials had the same numbers.
        self.records.trial_path(method, trial.number).unlink(missing_ok=True)
        return Asked(self, study, method, trial, lock)

    def best(
        self, method: str, count: int
    ) -> tuple[int, dict[str, Any]] | None:
        """Number and settings of the best of the first `count` trials.

        Returns:
            `None` if none of them came to its end.
        """
        states = self.optuna.trial.TrialState
        trials = self._study(method).get_trials(
            states=(states.COMPLETE, states.PRUNED)
        )
        trials = sorted(trials, key=lambda trial: trial.number)[:count]
        whole = [trial for trial in trials if trial.state == states.COMPLETE]
        if not whole:
            return None
        best = max(whole, key=lambda trial: trial.value)
        return best.number, dict(best.params)

    def ended(self, method: str) -> int:
        """How many trials ended, early or not."""
        states = self.optuna.trial.TrialState
        ended = (states.COMPLETE, states.PRUNED)
        return len(self._study(method).get_trials(False, ended))

    def running(self, method: str) -> list[int]:
        """Numbers of the trials that run, here or elsewhere."""
        running = self.optuna.trial.TrialState.RUNNING
        trials = self._study(method).get_trials(states=(running,))
        return [trial.number for trial in trials]

    def wait_for(self, method: str, number: int) -> None:
        """Waits until nobody is at a trial."""
        path = self.records.trial_path(method, number)
        unlock(try_lock(path, patience=-1))

    def tell(self, study: Any, method: str, number: int, record: Any) -> None:
        """Tells Optuna how a trial ended."""
        states = self.optuna.trial.TrialState
        if record["state"] == COMPLETE:
            study.tell(number, record["score"], skip_if_finished=True)
        else:
            study.tell(number, state=states.PRUNED, skip_if_finished=True)

    def _repeat(self, study: Any, trial: Any) -> None:
        """Ends a trial that was interrupted, and has its settings next."""
        # What was to be repeated before may not have been asked for yet.
        waiting = trial.system_attrs.get("fixed_params", {})
        parameters = {**waiting, **trial.params}
        repeated = (
            other.user_attrs.get("repeats")
            for other in study.get_trials(deepcopy=False)
        )
        # It may have been killed right here, between the two.
        if parameters and trial.number not in repeated:
            study.enqueue_trial(
                parameters, user_attrs={"repeats": trial.number}
            )
        study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)

    def _tidy(self, study: Any, method: str) -> None:
        """Ends the trials of processes that are no more."""
        for number in self.running(method):
            lock = try_lock(self.records.trial_path(method, number))
            if lock is None:
                continue  # Somebody is at it.
            # It may have ended since it was looked for.
            if number in self.running(method):
                self._end(study, method, number)
            unlock(lock)

    def _end(self, study: Any, method: str, number: int) -> None:
        record = self.records.find_trial(method, number)
        if record is None:
            (trial,) = (t for t in study.get_trials() if t.number == number)
            self._repeat(study, trial)
        else:
            # It was killed between writing and telling.
            self.tell(study, method, number, record)

    def _study(self, method: str) -> Any:
        if method not in self.studies:
            self.studies[method] = self._make_study(method)
        return self.studies[method]

    def _make_study(self, method: str) -> Any:
        logging = self.optuna.logging
        before = logging.get_verbosity()
        # It would say so of each study that is there.
        logging.set_verbosity(logging.WARNING)
        try:
            study = self.optuna.create_study(
                study_name=f"{self.studies_name}/{method}",
                storage=self.storage,
                direction="maximize",
                pruner=self.pruner,
                load_if_exists=True,
            )
        finally:
            logging.set_verbosity(before)
        # Samplers of grids call it after the last setting. That is an error
        # outside of `optimize`, and `count` says here when to stop.
        study.stop = lambda: None
        return study

    def _next_sampler(self, study: Any) -> Any:
        """One that depends on the trials that there are, and on nothing else.

        A sampler that goes on would draw anew, after a kill and in another
        process, what was drawn before. Methods begin with the same settings,
        also where some were interrupted and repeated.
        """
        trials = study.get_trials(deepcopy=False)
        count = sum("repeats" not in trial.user_attrs for trial in trials)
        sampler = self.sampler(seed=zlib.crc32(f"{self.seed}/{count}".encode()))
        if isinstance(sampler, self.optuna.samplers.GridSampler):
            # Its seed shuffles the grid, and a trial's number is a place there.
            sampler = self.sampler(seed=self.seed)
            # It would look for the place of a trial that repeats another one.
            sampler.after_trial = lambda *_: None
        return sampler

    def _default_sampler(self, seed: int) -> Any:
        with warnings.catch_warnings():
            # Before Optuna 5 an argument that keeps two processes from one
            # setting is said to be experimental.
            warnings.simplefilter("ignore")
            return self.optuna.samplers.TPESampler(
                seed=seed, constant_liar=True
            )

    def _check(self, storage: Any, sampler: Any, pruner: Any) -> None:
        optuna = self.optuna
        storages = (str, optuna.storages.BaseStorage, type(None))
        if not isinstance(storage, storages):
            raise ValueError(
                "`storage` must be an Optuna storage, its URL as "
                "'sqlite:///study.db', or `None`. Received: "
                f"storage={storage!r}"
            )
        if sampler is not None and not callable(sampler):
            raise ValueError(
                "`sampler` must be a function from `seed=` to an Optuna "
                "sampler, such as `optuna.samplers.RandomSampler` (without "
                f"brackets), or `None`. Received: sampler={sampler!r}"
            )
        if not isinstance(pruner, (optuna.pruners.BasePruner, type(None))):
            raise ValueError(
                "`pruner` must be an Optuna pruner, such as "
                "`optuna.pruners.MedianPruner()`, or `None`. Received: "
                f"pruner={pruner!r}"
            )

    def _open(self, storage: Any) -> Any:
        if storage is not None and not isinstance(storage, str):
            return storage
        if storage is None:
            path = (self.records.folder / "study.db").resolve()
            storage = f"sqlite:///{path}"
        arguments = {}
        if storage.startswith("sqlite"):
            arguments = {"connect_args": {"timeout": PATIENCE}}
        return self.optuna.storages.RDBStorage(storage, engine_kwargs=arguments)


class Asked:
    """A trial that this process is at."""

    def __init__(
        self, trials: Trials, study: Any, method: str, trial: Any, lock: Any
    ):
        self.trials = trials
        self.study = study
        self.method = method
        self.trial = trial
        self.lock = lock

    @property
    def number(self) -> int:
        return self.trial.number

    def after_epoch(self, score: float, epoch: int) -> bool:
        """Tells Optuna a score; whether the trial is to be pruned."""
        self.trial.report(score, epoch)
        return self.trial.should_prune()

    def end(self, record: dict[str, Any]) -> None:
        """Keeps the record, and lets go of the trial."""
        trials = self.trials
        try:
            trials.records.write_trial(self.method, self.number, record)
            trials.tell(self.study, self.method, self.number, record)
        finally:
            unlock(self.lock)

    def fail(self) -> None:
        """Lets go of a trial with an error: others may have none."""
        failed = self.trials.optuna.trial.TrialState.FAIL
        try:
            self.study.tell(self.number, state=failed)
        finally:
            unlock(self.lock)

    def leave(self) -> None:
        """Lets go of a trial that is not at its end, as a kill does."""
        unlock(self.lock)
