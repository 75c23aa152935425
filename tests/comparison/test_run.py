"""One model, trained and judged."""

import keras
import pytest

from keras_mtl.comparison.run import Run
from keras_mtl.comparison.run import as_arguments
from keras_mtl.comparison.score import Score
from tests.comparison.fakes import DATA
from tests.comparison.fakes import METRICS
from tests.comparison.fakes import Fake


class Trial:
    method, seed, preference, parameters = "sum", 3, None, {"rate": 0.3}


def make(build, **arguments):
    return Run(build, Score(METRICS, None), **DATA, fit_arguments=arguments)


def test_is_tested_with_the_weights_of_its_best_epoch():
    seen = []

    class Seen(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(epoch)

    run = make(
        lambda trial: Fake(0.3), epochs=4, callbacks=lambda trial: [Seen()]
    )
    record = run(Trial, test=True)
    assert record["state"] == "complete"
    assert record["epoch"] == 2 and len(record["history"]) == len(seen) == 4
    # The last epoch would have 0.6 and 0.5.
    assert record["test"]["left_accuracy"] == pytest.approx(0.8)
    assert record["test_score"] == pytest.approx(0.75)
    assert record["seed"] == 3 and record["parameters"] == {"rate": 0.3}


def test_stops_early_or_diverges():
    run = make(lambda trial: Fake(0.3))
    record = run(Trial, test=True, after_epoch=lambda score, epoch: epoch == 1)
    assert record["state"] == "pruned" and "test" not in record
    assert len(record["history"]) == 2
    record = make(lambda trial: Fake(float("nan")))(Trial, test=True)
    assert record["state"] == "diverged" and "score" not in record


def test_data():
    assert as_arguments(([1], [2])) == {"x": [1], "y": [2]}
    assert as_arguments(([1], [2], [3]))["sample_weight"] == [3]
    assert as_arguments("a data set") == {"x": "a data set"}


def test_no_model():
    for build in (lambda trial: None, lambda trial: keras.Sequential()):
        with pytest.raises(ValueError, match="`build` must return a compiled"):
            make(build)(Trial, test=False)


def test_what_does_not_end_in_a_number_diverged():
    class NoTest(Fake):
        def evaluate(self, *args, **kwargs):
            return dict.fromkeys(self.logs(), float("nan"))

    record = make(lambda trial: NoTest(0.3))(Trial, test=True)
    assert record["state"] == "diverged" and "test" not in record
    run = make(lambda trial: Fake(0.3))
    run.score = Score(METRICS, lambda found: float("inf"))
    assert run(Trial, test=True)["state"] == "diverged"


def test_the_policy_of_the_user_stays():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        names = []
        for _ in range(2):
            make(lambda trial: names.append(keras.layers.Dense(1).name)
                 or Fake(0.3))(Trial, test=False)  # fmt: skip
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(before)
    # They begin anew, for metrics may be named after layers.
    assert names == ["dense", "dense"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
