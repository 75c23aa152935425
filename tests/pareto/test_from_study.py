"""Points from Optuna studies."""

import numpy as np
import pytest

from keras_mtl.pareto import from_study
from keras_mtl.pareto import hypervolume
from keras_mtl.pareto import non_dominated
from keras_mtl.pareto.points import is_study

optuna = pytest.importorskip("optuna")

VALUES = [[0.9, 0.5], [0.8, 0.3], [0.8, 0.4]]


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


METHOD = optuna.distributions.CategoricalDistribution("abc")


def make_study(values=VALUES, **kwargs):
    study = optuna.create_study(directions=["maximize", "minimize"])
    for place, pair in enumerate(values):
        study.add_trial(
            optuna.trial.create_trial(
                values=pair,
                params={"method": "abc"[place]},
                distributions={"method": METHOD},
                user_attrs={"seed": place},
                **kwargs,
            )
        )
    return study


def test_is_what_optuna_finds():
    rng = np.random.default_rng(0)
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"])
    for values in rng.integers(0, 20, (60, 3)):
        study.add_trial(optuna.trial.create_trial(values=values.tolist()))
    numbers = np.array([trial.number for trial in study.trials])
    best = [trial.number for trial in study.best_trials]
    assert 1 < len(best) < 60
    assert numbers[non_dominated(study)].tolist() == sorted(best)


def test_names_directions_and_rows():
    points = from_study(make_study(), ["accuracy", "loss"])
    np.testing.assert_array_equal(points, VALUES)
    assert points.tasks == ["accuracy", "loss"]
    assert points.maximize.tolist() == [True, False]
    assert points.rows[1] == {
        "number": 1,
        "params": {"method": "b"},
        "user_attrs": {"seed": 1},
    }
    assert list(points.by("params.method")) == ["a", "b", "c"]


def test_takes_the_names_of_the_study():
    study = make_study()
    assert from_study(study).tasks is None
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["left", "right"])
    assert from_study(study).tasks == ["left", "right"]


def test_a_study_is_as_good_as_points():
    study = make_study()
    assert non_dominated(study).tolist() == [True, True, False]
    # The first reaches 0.5 over 0.2, the second 0.2 more over 0.1.
    found = hypervolume(study, [0.7, 1.0])
    assert found == pytest.approx(0.2 * 0.5 + 0.1 * 0.2)


def test_directions_are_those_of_the_study():
    study = make_study()
    assert non_dominated(study, maximize=[True, False]).any()
    with pytest.raises(
        ValueError, match="mixes directions: smaller.*of column 1"
    ):
        non_dominated(study, maximize=True)


def test_leaves_out_what_is_not_complete():
    study = make_study()
    study.add_trial(
        optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED)
    )
    study.add_trial(
        optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL)
    )
    study.ask()
    assert len(from_study(study)) == 3


def test_leaves_out_what_is_not_feasible():
    study = make_study(VALUES[1:], system_attrs={"constraints": [0.0, -1.0]})
    study.add_trial(
        optuna.trial.create_trial(
            values=VALUES[0], system_attrs={"constraints": [-1.0, 0.5]}
        )
    )
    np.testing.assert_array_equal(from_study(study), VALUES[1:])
    assert [trial.number for trial in study.best_trials] == [0]


def test_what_failed_without_saying_so():
    with pytest.raises(ValueError, match="finite.*inf of column 1"):
        non_dominated(make_study([[1.0, np.inf]]))


@pytest.mark.parametrize("tasks", [["a"], ["a", "a"], "left", [*"abc"]])
def test_bad_names(tasks):
    with pytest.raises(ValueError, match="`tasks` must name each of the 2"):
        from_study(make_study(), tasks)


def test_an_empty_study():
    with pytest.raises(ValueError, match="`study` must have a trial.*0 trials"):
        from_study(make_study([]))


def test_asking_for_a_study_reads_no_trials():
    class Study:
        directions = ()

        @property
        def trials(self):
            raise AssertionError("All trials were read.")

    assert is_study(Study())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
