"""The two methods and their networks."""

import numpy as np
import pytest

from examples.small_towers.fronts import study
from keras_mtl.comparison import Trial


def test_methods_and_their_networks(tmp_path):
    optuna = pytest.importorskip("optuna")
    comparison = study.make_comparison(str(tmp_path), 10)
    rate = {"learning_rate": 0.1, "weight": 0.5, "temperature": 2.0}
    for method, heads in (("sum", False), ("self_auxiliary", True)):
        arguments = comparison.methods[method]
        chosen = optuna.trial.FixedTrial(rate)
        trial = Trial(
            method, arguments, chosen, 0, {"left": 0.75, "right": 0.25}
        )
        model = comparison.build(trial)
        weights = model.get_compile_config()["loss_weights"]
        assert weights == {"left": 0.75, "right": 0.25}
        assert (model.auxiliaries is not None) == heads
        schedule = model.optimizer._learning_rate
        np.testing.assert_allclose(schedule(10), 0.0, atol=1e-7)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
