import json

import pytest

from examples.multi_mnist import results


def row(epoch, left, right, **more):
    """An epoch; validation is one point above and test one below."""
    return {
        "epoch": epoch,
        "val_left_accuracy": left + 0.01,
        "val_right_accuracy": right + 0.01,
        "test_left_accuracy": left - 0.01,
        "test_right_accuracy": right - 0.01,
        "train_seconds": 10.0 * epoch,
        "train_cpu_seconds": 1.0 * epoch,
        **more,
    }


def record(method="sum", history=None, seed=0, **more):
    history = history or [row(1, 0.5, 0.5), row(2, 0.7, 0.6), row(3, 0.6, 0.6)]
    config = {
        "method": method,
        "source": "mnist",
        "size": "large",
        "seed": seed,
        "epochs": len(history),
        "learning_rate": 8e-4,
        **more,
    }
    return {"config": config, "history": history}


def single(task, values):
    history = [
        {
            "epoch": epoch,
            "val_accuracy": value,
            "test_accuracy": value - 0.02,
            "train_seconds": 5.0,
            "train_cpu_seconds": 4.0,
        }
        for epoch, value in enumerate(values, 1)
    ]
    return record(f"single_{task}", history)


def write(folder, *records):
    for index, one in enumerate(records):
        (folder / f"{index}.json").write_text(json.dumps(one))


class TestSummarize:
    def test_validation_chooses_the_epoch(self):
        # The best test accuracy is of another epoch.
        history = [
            row(1, 0.7, 0.7),
            row(2, 0.5, 0.5, test_left_accuracy=1, test_right_accuracy=1),
        ]
        result = results.summarize(record(history=history))
        assert result["epoch"] == 1
        expected = {"left": 0.69, "right": 0.69}
        assert result["test_accuracy"] == pytest.approx(expected)

    def test_last_five_epochs_and_median_times(self):
        history = [row(e, e / 10, 0.5) for e in range(1, 8)]
        result = results.summarize(record(history=history))
        expected = {"left": 0.49, "right": 0.49}
        assert result["last_5_test_accuracy"] == pytest.approx(expected)
        assert result["seconds_per_epoch"] == 40
        assert result["cpu_seconds_per_epoch"] == 4


class TestLoadRuns:
    def test_groups_sorts_and_leaves_out_unfinished_runs(self, tmp_path):
        write(
            tmp_path,
            record("pcgrad+self_auxiliary"),
            record("pcgrad"),
            record("sum"),
            record("sum", seed=1),
            record("mgda_ub", epochs=9),
            record("sum", source="fashion_mnist", size="small"),
        )
        groups = results.load_runs(tmp_path)
        assert list(groups) == [("mnist", "large"), ("fashion_mnist", "small")]
        runs = groups["mnist", "large"]
        assert list(runs) == ["sum", "pcgrad", "pcgrad+self_auxiliary"]
        assert len(runs["sum"]) == 2

    def test_joins_single_tasks(self, tmp_path):
        write(tmp_path, single("left", [0.9, 0.8]), single("right", [0.6, 0.7]))
        runs = results.load_runs(tmp_path)["mnist", "large"]
        assert list(runs) == ["single"]
        (joined,) = runs["single"]
        result = joined["result"]
        expected = {"left": 0.88, "right": 0.68}
        assert result["test_accuracy"] == pytest.approx(expected)
        assert result["seconds_per_epoch"] == 10
        second = joined["history"][1]
        assert results.accuracy(second, "val", "left") == 0.8
        assert results.accuracy(second, "val", "right") == 0.7

    def test_half_of_a_pair_is_left_out(self, tmp_path):
        write(tmp_path, single("left", [0.9]), record())
        assert list(results.load_runs(tmp_path)["mnist", "large"]) == ["sum"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
