import json

import numpy as np
import pytest

from examples.architecture_runs import Recorder
from examples.census_income import train
from examples.census_income.train import Config
from keras_mtl.datasets import load_census_income
from tests.datasets.census_rows import make_rows
from tests.datasets.census_rows import write_rows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("census") / "census-income.data"
    write_rows(path, make_rows(400))
    return load_census_income(path)


def config(**changes):
    defaults = {
        "budget": 9000,
        "epochs": 4,
        "batch_size": 60,
        "learning_rate": 0.01,
    }
    return Config(**{**defaults, **changes})


def fit(run, folder, data):
    # XLA takes longer to compile than all of this takes to train.
    return train.train(run, folder, data, jit_compile=False, verbose=0)


def curves(record):
    """What does not depend on the clock."""
    return [
        {key: value for key, value in row.items() if "seconds" not in key}
        for row in record["history"]
    ]


class TestTrain:
    @pytest.mark.slow
    def test_learns_and_records(self, data, tmp_path, monkeypatch):
        record = fit(config(), tmp_path, data)
        path = tmp_path / "shared_bottom-lr0.01-seed0.json"
        assert json.loads(path.read_text()) == record
        assert [row["epoch"] for row in record["history"]] == [1, 2, 3, 4]
        # Both labels follow from age and sex.
        for auc in record["result"]["test"].values():
            assert 0.85 < auc <= 1
        assert abs(record["parameters"] - 9000) <= 180
        assert record["width"] > 1
        # It is finished, and not repeated.
        monkeypatch.setattr(train, "make_model", None)
        assert fit(config(), tmp_path, data) == record

    @pytest.mark.slow
    def test_stops_when_validation_improves_no_more(self, data, tmp_path):
        run = config(learning_rate=1e-12, epochs=9, patience=2)
        record = fit(run, tmp_path, data)
        chosen = record["result"]["epoch"]["income"]
        assert len(record["history"]) == chosen + 2 < 9

    @pytest.mark.slow
    def test_a_killed_run_ends_as_an_uninterrupted_one(
        self, data, tmp_path, monkeypatch
    ):
        run = config(architecture="single")
        whole = fit(run, tmp_path / "whole", data)
        record_epoch = Recorder.on_epoch_end

        def killed(self, epoch, logs=None):
            record_epoch(self, epoch, logs)
            # The worst moment: the epoch is recorded and its weights are not.
            if epoch == 1:
                raise InterruptedError

        folder = tmp_path / "killed"
        with monkeypatch.context() as patch:
            patch.setattr(Recorder, "on_epoch_end", killed)
            with pytest.raises(InterruptedError):
                fit(run, folder, data)
        written = json.loads((folder / f"{run.name}.json").read_text())
        assert len(written["history"]) == 2
        record = fit(run, folder, data)
        for row, other in zip(curves(record), curves(whole)):
            assert row == pytest.approx(other, rel=1e-4)


class TestAreaUnderCurve:
    def test_counts_pairs(self):
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 2, 200)
        scores = rng.integers(0, 9, 200) + labels  # with many ties
        pairs = scores[labels == 1][:, None] - scores[labels == 0][None]
        expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
        auc = train.area_under_curve(labels, scores[:, None])
        assert auc == pytest.approx(expected, abs=1e-12)

    def test_ends(self):
        labels = np.array([0, 0, 1, 1])
        for scores, expected in (
            (labels, 1),
            (-labels, 0),
            (np.zeros(4), 0.5),
        ):
            auc = train.area_under_curve(labels, scores[:, None])
            assert auc == expected


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
