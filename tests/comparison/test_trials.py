"""Trials that are shared by processes, which may be killed."""

import pytest

from keras_mtl.comparison import trials as trials_module
from keras_mtl.comparison.records import Records
from keras_mtl.comparison.trials import Trials

optuna = pytest.importorskip("optuna")
pytest.importorskip("filelock")
COMPLETE = {"state": "complete", "score": 1.0}


@pytest.fixture
def trials(tmp_path, memory):
    return Trials(
        Records(tmp_path), memory, None, optuna.pruners.NopPruner(), 0
    )


def test_no_more_than_asked_for(trials):
    asked = [trials.ask("sum", 2) for _ in range(3)]
    assert [one and one.number for one in asked] == [0, 1, None]
    assert trials.running("sum") == [0, 1]
    for score, one in enumerate(asked[:2]):
        one.trial.suggest_float("rate", 0, 1)
        one.end({"state": "complete", "score": float(score)})
    assert trials.ended("sum") == 2
    assert trials.ask("sum", 2) is None
    number, parameters = trials.best("sum", 2)
    assert number == 1 and set(parameters) == {"rate"}
    # Of a smaller budget.
    assert trials.best("sum", 1)[0] == 0


def test_what_nobody_is_at_is_repeated(trials):
    asked = trials.ask("sum", 1)
    rate = asked.trial.suggest_float("rate", 0, 1)
    del asked.lock  # As the system does when a process is killed.
    again = trials.ask("sum", 1)
    assert again.number == 1
    assert again.trial.suggest_float("rate", 0, 1) == rate
    assert again.trial.user_attrs["repeats"] == 0
    again.end(COMPLETE)
    assert trials.ended("sum") == 1


def test_what_was_written_but_not_told_counts(trials):
    asked = trials.ask("sum", 1)
    asked.trial.suggest_float("rate", 0, 1)
    trials.records.write_trial("sum", 0, COMPLETE)
    del asked.lock
    assert trials.ask("sum", 1) is None
    assert trials.best("sum", 1)[0] == 0


def test_samples_do_not_depend_on_who_asks(tmp_path):
    rates = []
    for name in ("one", "other"):
        found = []
        for index in range(3):
            trials = Trials(
                Records(tmp_path / name),
                None if name == "one" else f"sqlite:///{tmp_path}/study.db",
                None,
                optuna.pruners.NopPruner(),
                0,
            )
            asked = trials.ask("sum", 3)
            found.append(asked.trial.suggest_float("rate", 0, 1))
            asked.end({"state": "complete", "score": float(index)})
        rates.append(found)
    assert rates[0] == rates[1]
    assert len(set(rates[0])) == 3


def test_what_is_interrupted_twice_is_repeated(trials):
    asked = trials.ask("sum", 2)
    rate = asked.trial.suggest_float("rate", 0, 1)
    del asked.lock
    # Killed before the trial that repeats it has asked for its settings.
    del trials.ask("sum", 2).lock
    again = trials.ask("sum", 2)
    assert again.trial.suggest_float("rate", 0, 1) == rate
    # Killed between planning to repeat it and ending it.
    again.study.enqueue_trial(
        {"rate": rate}, user_attrs={"repeats": again.number}
    )
    del again.lock
    rates = []
    for _ in range(2):
        asked = trials.ask("sum", 2)
        rates.append(asked.trial.suggest_float("rate", 0, 1))
        asked.end(COMPLETE)
    assert rates[0] == rate != rates[1]
    assert trials.ask("sum", 2) is None


def test_a_kill_changes_no_later_settings(trials):
    for method, killed in (("sum", None), ("other", 1)):
        for count in range(3):
            asked = trials.ask(method, 3)
            asked.trial.suggest_float("rate", 0, 1)
            if count == killed:
                del asked.lock
                asked = trials.ask(method, 3)
                asked.trial.suggest_float("rate", 0, 1)
            asked.end(COMPLETE)
    rates = [
        [trial.params["rate"] for trial in study.trials if trial.value]
        for study in trials.studies.values()
    ]
    assert rates[0] == rates[1] and len(rates[0]) == 3


@pytest.mark.parametrize("way", ["end", "fail"])
def test_what_ends_while_it_is_looked_at_stays_so(trials, way, monkeypatch):
    asked = trials.ask("sum", 2)
    asked.trial.suggest_float("rate", 0, 1)
    real = trials_module.try_lock

    def ends_first(path, **kwargs):
        if path.name == "sum-0.json":
            asked.end(COMPLETE) if way == "end" else asked.fail()
        return real(path, **kwargs)

    monkeypatch.setattr(trials_module, "try_lock", ends_first)
    again = trials.ask("sum", 2)
    assert again.number == 1 and "repeats" not in again.trial.user_attrs
    states = [trial.state.name for trial in again.study.trials]
    assert states == ["COMPLETE" if way == "end" else "FAIL", "RUNNING"]


def journal(path):
    backend = optuna.storages.journal.JournalFileBackend(str(path / "log"))
    return optuna.storages.JournalStorage(backend)


def test_a_grid_in_a_journal_is_tried_once(tmp_path):
    """A setting each, also where the fifth of six trials is interrupted."""
    grid = {"rate": [0.1, 0.5, 0.9], "kind": ["a", "b"]}

    def sampler(seed):
        return optuna.samplers.GridSampler(grid, seed=seed)

    found = []
    for count in range(7):
        # As if each trial had a process of its own.
        trials = Trials(
            Records(tmp_path / "runs"), journal(tmp_path), sampler, None, 0
        )
        asked = trials.ask("sum", 6)
        rate = asked.trial.suggest_float("rate", 0, 1)
        kind = asked.trial.suggest_categorical("kind", ["a", "b"])
        if count == 4:
            del asked.lock
            continue
        found.append((rate, kind))
        asked.end(COMPLETE)
    assert len(set(found)) == len(found) == 6
    assert trials.ask("sum", 6) is None


def test_the_folder_may_be_moved(tmp_path, memory):
    def open_in(folder):
        return Trials(Records(folder), memory, None, None, 0)

    asked = open_in(tmp_path / "a" / "runs").ask("sum", 1)
    asked.end(COMPLETE)
    (tmp_path / "a" / "runs").rename(tmp_path / "moved")
    assert open_in(tmp_path / "moved").ended("sum") == 1
    # Another one of the same name has trials of its own.
    assert open_in(tmp_path / "a" / "runs").ended("sum") == 0


def test_a_storage_that_is_not_shared(trials):
    own = optuna.storages.InMemoryStorage()
    other = Trials(trials.records, own, None, None, 0)
    asked = trials.ask("sum", 1)
    with pytest.raises(ValueError, match="`storage` must be one that all"):
        other.ask("sum", 1)
    asked.end(COMPLETE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, None, None), "`storage` must be an Optuna storage"),
        ((None, optuna.samplers.RandomSampler(), None), "`sampler` must be"),
        ((None, None, optuna.pruners.MedianPruner), "`pruner` must be"),
    ],
)
def test_refuses(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Trials(Records(tmp_path), *arguments, 0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
