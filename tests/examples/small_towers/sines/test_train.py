import dataclasses
import json

import keras
import numpy as np
import pytest

from examples.runs import Batches
from examples.small_towers.sines import train as sines
from examples.small_towers.sines.train import TASKS
from examples.small_towers.sines.train import Config
from keras_mtl.datasets.synthetic import FREQUENCIES


@pytest.fixture
def few(monkeypatch):
    """Little data, so that a run takes no time."""
    few = sines.Data(4, 0.3, num_train=200, epochs=2, num_held_out=50)
    monkeypatch.setitem(sines.DATA, "easier", few)
    sines.load.cache_clear()
    yield few
    sines.load.cache_clear()


CONFIG = Config("easier", 0, 0.3, 1e-2, epochs=2, gamma=1.0, batch_size=50)


class TestBuildNetwork:
    @pytest.mark.parametrize("depth", [0, 1, 9])
    def test_has_the_published_size(self, depth):
        tower = 126 if depth == 0 else 12_600 + 10_100 * (depth - 1) + 101
        network = sines.build_network(200, depth, 100)
        assert network.count_params() == 81_625 + 2 * tower


class TestTrain:
    @pytest.mark.slow
    def test_equals_training_with_loss_weights(self, few, tmp_path):
        # A run before it must not change it, nor the model they share.
        other = dataclasses.replace(CONFIG, alpha=0.9, seed=3)
        sines.train(other, tmp_path)
        found = sines.train(CONFIG, tmp_path)["result"]["last"]["test"]

        keras.utils.set_random_seed(CONFIG.seed)
        model = sines.build_model(4, 0, 100, 1.0)
        model.compile(
            keras.optimizers.Adam(1e-2),
            loss=dict.fromkeys(TASKS, "mse"),
            loss_weights={"y1": 0.3, "y2": 0.7},
        )
        x, y = sines.load("easier")["train"]
        batches = Batches((x, y), 50, CONFIG.seed)
        for epoch, rate in enumerate([1e-2, 5e-3]):
            batches.set_epoch(epoch)
            model.optimizer.learning_rate = rate
            model.fit(batches, shuffle=False, verbose=0)
        x, y = sines.load("easier")["test"]
        predictions = model.predict(x, verbose=0)
        for task in TASKS:
            error = np.mean((predictions[task] - y[task]) ** 2)
            assert found[task] == pytest.approx(error, rel=1e-4)

    @pytest.mark.slow
    def test_keeps_what_it_measured(self, few, tmp_path):
        record = sines.train(CONFIG, tmp_path)
        (path,) = tmp_path.glob("*.json")
        assert json.loads(path.read_text()) == record
        assert [row["epoch"] for row in record["history"]] == [1, 2]
        best = min(
            record["history"],
            key=lambda row: (
                0.3 * row["validation"]["y1"] + 0.7 * row["validation"]["y2"]
            ),
        )
        assert record["result"] == {
            "best": best,
            "last": record["history"][-1],
        }
        # Not trained again.
        assert sines.train(CONFIG, tmp_path) == record


class TestMeanErrors:
    def test_is_the_error_of_the_mean(self, few):
        found = sines.mean_errors("easier")
        data = sines.load("easier")
        for task in TASKS:
            test, train = data["test"][1][task], data["train"][1][task]
            error = test.var() + (test.mean() - train.mean()) ** 2
            assert found[task] == pytest.approx(error, rel=1e-5)


class TestNoiseErrors:
    def test_is_the_error_of_the_expected_label(self, few, monkeypatch):
        many = dataclasses.replace(few, num_held_out=5_000)
        monkeypatch.setitem(sines.DATA, "easier", many)
        sines.load.cache_clear()
        found = sines.noise_errors("easier")
        x, y = sines.load("easier")["test"]
        total = x.sum(axis=1, dtype="float64")
        for task, frequencies in FREQUENCIES.items():
            known = np.sin(np.outer(total, 0.3 * frequencies)).sum(axis=1)
            error = np.mean((y[task][:, 0] - known * np.exp(-0.02)) ** 2)
            assert found[task] == pytest.approx(error, rel=0.1)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
