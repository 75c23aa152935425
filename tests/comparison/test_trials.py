"""Trials that are shared by processes, which may be killed."""

import pytest

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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
