"""The model of eight tasks, and what is reported."""

import pytest

from examples.small_towers.eight_tasks import data
from examples.small_towers.eight_tasks import study
from keras_mtl.comparison import Trial

optuna = pytest.importorskip("optuna")
SETTINGS = {"learning_rate": 1e-3, "weight": 0.5, "copies": 3}


@pytest.mark.slow
def test_methods_differ_in_their_towers(tmp_path):
    comparison = study.make_comparison(str(tmp_path))
    models = {
        method: study.build(
            Trial(method, arguments, optuna.trial.FixedTrial(SETTINGS), 0)
        )
        for method, arguments in comparison.methods.items()
    }
    assert models["sum"].auxiliaries is None
    heads = models["self_auxiliary"].auxiliaries
    assert heads.weight == 0.5 and set(heads.heads) == set(data.TASKS)
    towers = models["pta_f"].auxiliaries.heads["click"]
    assert len(towers.towers) == 3 and not towers.trainable


def test_score():
    found = dict.fromkeys(study.METRICS, 0.75)
    found["watch_time_rmse"] = 0.25
    assert study.score(found) == pytest.approx(0.75 - 0.5)


def test_both_averages():
    # AUCs of 0.5 and 1: the mean of changes and the change of the mean differ.
    before = {name: 0.5 for name in study.METRICS}
    before["click_auc"] = 1.0
    after = {**before, "like_auc": 0.55}
    means = {"sum": before, "pta_f": before, "self_auxiliary": after}
    text = study.averages_table(means)
    # A tenth, in one of six; and 0.05 of the 3.5 that they add up to.
    assert "| self_auxiliary | AUC | +1.667 % | +1.429 % | +0.416 % |" in text
    assert "| pta_f | RMSE | +0.000 % | +0.000 % | -0.072 % |" in text
    rows = study.changes_table(means).splitlines()
    assert "| like | AUC | 0.5000 | +0.00 % | +10.00 % |" in rows


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
