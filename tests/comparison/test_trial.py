"""What `build` is told."""

import pytest

from keras_mtl.comparison import Trial
from keras_mtl.comparison.method_arguments import MethodArguments


def test_suggestions_and_arguments():
    optuna = pytest.importorskip("optuna")
    given = {"rate": 0.1, "width": 3, "kind": "a"}
    arguments = MethodArguments(
        "sum", lambda weights: {"loss_weights": weights}, {"a": 1.0}
    )
    trial = Trial("sum", arguments, optuna.trial.FixedTrial(given), 4)
    assert trial.suggest_float("rate", 0.01, 1.0, log=True) == 0.1
    assert trial.suggest_int("width", 1, 5) == 3
    assert trial.suggest_categorical("kind", ["a", "b"]) == "a"
    assert trial.parameters == given
    assert (trial.method, trial.seed, trial.preference) == ("sum", 4, None)
    assert trial.compile_arguments == {"loss_weights": {"a": 1.0}}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
