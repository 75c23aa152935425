import json

import pytest

from examples import architecture_runs as runs


def record(income, marital, architecture="mmoe", **config):
    """A run with these validation values, and test values a tenth lower."""
    history = [
        {
            "epoch": epoch,
            "val_income": a,
            "val_marital": b,
            "test_income": a - 0.1,
            "test_marital": b - 0.1,
            "train_seconds": float(epoch),
        }
        for epoch, (a, b) in enumerate(zip(income, marital), 1)
    ]
    defaults = {"epochs": 9, "patience": 2, "learning_rate": 1e-3, "seed": 0}
    config = {"architecture": architecture, **defaults, **config}
    tasks = ["income", "marital"]
    return {"config": config, "tasks": tasks, "history": history}


class TestIsFinished:
    @pytest.mark.parametrize(
        ("count", "finished"), [(0, False), (3, False), (4, True), (5, True)]
    )
    def test_patience(self, count, finished):
        aucs = [0.8, 0.9, 0.85, 0.85, 0.85][:count]
        assert runs.is_finished(record(aucs, aucs)) == finished

    def test_all_epochs(self):
        run = record([0.7, 0.8], [0.7, 0.8], epochs=2)
        assert runs.is_finished(run)

    def test_single_waits_for_both_tasks(self):
        income, marital = [0.9, 0.8, 0.7], [0.1, 0.11, 0.12]
        assert runs.is_finished(record(income, marital))
        assert not runs.is_finished(record(income, marital, "single"))


class TestSummarize:
    income, marital = [0.6, 0.9, 0.7], [0.5, 0.6, 0.75]

    def test_one_epoch_for_both_tasks(self):
        result = runs.summarize(record(self.income, self.marital))
        assert result["epoch"] == {"income": 2, "marital": 2}
        assert result["val"] == {"income": 0.9, "marital": 0.6}
        assert result["test"] == pytest.approx({"income": 0.8, "marital": 0.5})
        assert result["seconds_per_epoch"] == 2

    def test_networks_that_share_nothing_have_one_each(self):
        run = record(self.income, self.marital, "single")
        result = runs.summarize(run)
        assert result["epoch"] == {"income": 2, "marital": 3}
        assert result["val"] == {"income": 0.9, "marital": 0.75}


class TestLoadRuns:
    def write(self, folder, *args, **config):
        run = record(*args, **config)
        name = "-".join(map(str, run["config"].values()))
        (folder / f"{name}.json").write_text(json.dumps(run))

    def test_validation_chooses_the_learning_rate(self, tmp_path):
        for seed in (0, 1):
            for rate, auc in ((1e-3, 0.8), (1e-2, 0.9 - seed / 20)):
                self.write(
                    tmp_path,
                    [auc],
                    [auc],
                    epochs=1,
                    learning_rate=rate,
                    seed=seed,
                )
        # One lucky seed is not enough.
        self.write(tmp_path, [0.99], [0.99], epochs=1, learning_rate=1e-1)
        self.write(tmp_path, [0.5], [0.5], "single", epochs=1)
        self.write(tmp_path, [0.9], [0.9], "ple", epochs=2)  # not finished
        found = runs.load_runs(tmp_path, ["single", "mmoe", "ple"])
        assert list(found) == ["single", "mmoe"]
        rates = [run["config"]["learning_rate"] for run in found["mmoe"]]
        assert rates == [1e-2, 1e-2]
        assert found["single"][0]["result"]["epoch"]["income"] == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
