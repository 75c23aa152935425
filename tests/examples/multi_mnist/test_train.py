import json

import numpy as np
import pytest

from examples.multi_mnist import train
from examples.multi_mnist.train import Config


@pytest.fixture(scope="module")
def data():
    """Random images: what is tested here is not how well they are learnt."""
    rng = np.random.default_rng(0)

    def draw(count):
        x = rng.integers(0, 256, (count, 36, 36, 1)).astype("uint8")
        labels = rng.integers(0, 10, (2, count)).astype("int32")
        return x, {"left": labels[0], "right": labels[1]}

    return {"train": draw(48), "validation": draw(16), "test": draw(16)}


def config(**changes):
    defaults = {"size": "small", "epochs": 3, "batch_size": 20}
    return Config(**{**defaults, **changes})


def curves(record):
    """What does not depend on the clock."""
    return [
        {key: value for key, value in row.items() if "seconds" not in key}
        for row in record["history"]
    ]


class TestConfig:
    def test_resolves_name_and_learning_rate(self):
        resolved = Config(method="self_auxiliary+sum").resolved()
        assert resolved.learning_rate == 6e-4
        assert resolved.name == "mnist-large-self_auxiliary-seed0"

    def test_flag_overrides_the_learning_rate(self):
        assert Config(learning_rate=0.1).resolved().learning_rate == 0.1


class TestBatches:
    def test_every_example_once_in_an_order_of_its_epoch(self, data):
        x, y = data["train"]
        batches = train.Batches((x, y), batch_size=20, seed=0)
        orders = []
        for epoch in (0, 1, 0):
            batches.set_epoch(epoch)
            parts = [batches[index] for index in range(len(batches))]
            assert [len(part[0]) for part in parts] == [20, 20, 8]
            orders.append(batches.order)
            np.testing.assert_array_equal(np.sort(batches.order), range(48))
            for index, (images, labels) in enumerate(parts):
                rows = batches.order[20 * index : 20 * index + 20]
                np.testing.assert_array_equal(images, x[rows])
                np.testing.assert_array_equal(labels["right"], y["right"][rows])
        np.testing.assert_array_equal(orders[0], orders[2])
        assert not np.array_equal(orders[0], orders[1])


class TestTrain:
    @pytest.mark.slow
    def test_records_every_epoch(self, data, tmp_path):
        record = train.train(config(), tmp_path, data=data, verbose=0)
        path = tmp_path / "mnist-small-sum-seed0.json"
        assert json.loads(path.read_text()) == record
        assert [row["epoch"] for row in record["history"]] == [1, 2, 3]
        for row in record["history"]:
            for part in ("", "val_", "test_"):
                for task in ("left", "right"):
                    assert 0 <= row[f"{part}{task}_accuracy"] <= 1
                    assert row[f"{part}{task}_loss"] > 0
            assert row["seconds"] >= row["train_seconds"] > 0
        assert record["config"]["learning_rate"] == 8e-4
        assert record["result"]["epoch"] in (1, 2, 3)
        assert record["environment"]["keras"]

    @pytest.mark.slow
    def test_a_finished_run_is_not_repeated(self, data, tmp_path, monkeypatch):
        first = train.train(config(epochs=1), tmp_path, data=data, verbose=0)
        monkeypatch.setattr(train.methods, "build_model", None)
        again = train.train(config(epochs=1), tmp_path, verbose=0)
        assert again == first

    @pytest.mark.slow
    def test_a_run_killed_at_its_very_end_has_a_result(
        self, data, tmp_path, monkeypatch
    ):
        run = config(epochs=1)
        record = train.train(run, tmp_path, data=data, verbose=0)
        path = tmp_path / f"{run.name}.json"
        result = record.pop("result")
        train.write_json(path, record)
        monkeypatch.setattr(train.methods, "build_model", None)
        assert train.train(run, tmp_path)["result"] == result
        assert json.loads(path.read_text())["result"] == result

    @pytest.mark.slow
    def test_more_epochs_continue_a_finished_run(self, data, tmp_path):
        whole = train.train(config(), tmp_path / "whole", data=data, verbose=0)
        parts = tmp_path / "parts"
        train.train(config(epochs=1), parts, data=data, verbose=0)
        record = train.train(config(epochs=3), parts, data=data, verbose=0)
        assert_same(record, whole)

    @pytest.mark.slow
    def test_a_killed_run_ends_as_an_uninterrupted_one(
        self, data, tmp_path, monkeypatch
    ):
        # PCGrad has state of its own: the seed of its orders.
        run = config(method="pcgrad", learning_rate=0.05)
        whole = train.train(run, tmp_path / "whole", data=data, verbose=0)
        record_epoch = train.Recorder.on_epoch_end

        def killed(self, epoch, logs=None):
            record_epoch(self, epoch, logs)
            # The worst moment: the epoch is recorded and its weights are not.
            if epoch == 1:
                raise InterruptedError

        folder = tmp_path / "killed"
        with monkeypatch.context() as patch:
            patch.setattr(train.Recorder, "on_epoch_end", killed)
            with pytest.raises(InterruptedError):
                train.train(run, folder, data=data, verbose=0)
        written = json.loads((folder / f"{run.name}.json").read_text())
        assert len(written["history"]) == 2
        record = train.train(run, folder, data=data, verbose=0)
        assert_same(record, whole)

    def test_single_task(self, data, tmp_path):
        run = config(method="single_right", epochs=1)
        record = train.train(run, tmp_path, data=data, verbose=0)
        assert set(record["result"]["test_accuracy"]) == {"right"}

    @pytest.mark.slow
    def test_refuses_the_file_of_another_configuration(self, data, tmp_path):
        train.train(config(epochs=1), tmp_path, data=data, verbose=0)
        with pytest.raises(ValueError, match="`output_dir`.*batch_size"):
            train.train(config(batch_size=7), tmp_path, data=data)


def assert_same(record, expected):
    for row, other in zip(curves(record), curves(expected)):
        assert row == pytest.approx(other, rel=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
