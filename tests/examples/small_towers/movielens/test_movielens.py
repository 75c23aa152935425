"""The MovieLens example, end to end on made-up ratings."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from absl import app

import keras_mtl
from examples.planned_runs import finder
from examples.small_towers.movielens import plan
from examples.small_towers.movielens import report
from examples.small_towers.movielens import stages
from examples.small_towers.movielens import train
from examples.small_towers.movielens.config import Config
from examples.small_towers.movielens.model import SINGLE
from examples.small_towers.movielens.model import build_model
from examples.small_towers.movielens.stages import run_stages
from keras_mtl.datasets import movielens_stand_in
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock

BASE = Config("sum", 0.1, batch_size=256, data="stand_in")


# Weights of both tasks: 4 copies of a tower each; a layer of 200 inputs; of 10.
HEADS = {
    "pta_f": 2 * 4 * (200 * 201 + 201),
    "self_auxiliary": 2 * 201,
    plan.POOLED: 2 * 11,
}


class Outputs:
    """A model that has predicted already."""

    def __init__(self, **outputs):
        self.outputs = {k: np.array(v)[:, None] for k, v in outputs.items()}

    def predict(self, x, **_):
        return {k: v[x["movie"]] for k, v in self.outputs.items()}


def test_both_ways_of_counting_the_rating_error():
    model = Outputs(watch=[2.0, -1.0, 3.0, 0.5], rating=[4.0, 2.0, 1.0, 5.0])
    y = {
        "watch": np.array([1, 0, 0, 1]),
        "rating": np.array([5, np.nan, np.nan, 2], "float32"),
    }
    found = train.measure(model, {"movie": np.arange(4)}, y)
    assert found["watch_error"] == 0.25
    loss = np.log1p(np.exp([-2.0, -1.0, 3.0, -0.5])).mean()
    np.testing.assert_allclose(found["watch_loss"], loss, atol=1e-6)
    assert found["rating_mse"] == 5.0  # (1 + 9) / 2
    assert found["rating_mse_all"] == 2.5


def result(watch_error, rating):
    return {
        "watch_error": watch_error,
        "watch_loss": 2 * watch_error,
        "rating_mse": 2 * rating,
        "rating_mse_all": rating,
    }


def record(config, index):
    """A finished run that is a little worse than the one before."""
    found = result(0.16 + 0.001 * index, 0.38 + 0.01 * index)
    if config.method in SINGLE:
        task = SINGLE[config.method]
        found = {k: v for k, v in found.items() if k.startswith(task)}
    return {
        "config": dataclasses.asdict(config),
        "result": {part: found for part in ("train", "validation", "test")},
        "cpu_seconds": 30.0,
        "history": [],
    }


def finished(names, folder):
    """Files of the runs of stages; the last trial of each method is best."""
    for name in names:
        configs = list(plan.stage(name, BASE, finder(folder)))
        for index, config in enumerate(reversed(configs)):
            path = folder / f"{config.name}.json"
            path.write_text(json.dumps(record(config, index)))
    return finder(folder)


class TestPlan:
    def test_every_method_has_as_many_trials(self):
        counts = {len(set(plan.trials(m, BASE))) for m in plan.METHODS}
        assert counts == {len(rates) for rates in plan.LEARNING_RATES.values()}

    def test_names_differ(self, tmp_path):
        find = finished(["tune"], tmp_path)
        configs = {
            config
            for name in plan.STAGES
            for config in plan.stage(name, BASE, find)
        }
        assert len({config.name for config in configs}) == len(configs)

    def test_validation_chooses(self, tmp_path):
        with pytest.raises(ValueError, match="is not tuned"):
            list(plan.stage("seeds", BASE, finder(tmp_path)))
        find = finished(["tune"], tmp_path)
        for method in plan.METHODS:
            best = plan.chosen(method, BASE, find)
            assert best == plan.trials(method, BASE)[-1]
        seeds = {config.seed for config in plan.stage("seeds", BASE, find)}
        assert seeds == {1, 2}  # none that a trial had


def test_runs_of_other_processes_come_last(tmp_path, monkeypatch):
    configs = plan.trials("sum", BASE)
    lock = try_lock(tmp_path / f"{configs[0].name}.json")
    order = []

    def fake(config, folder, data_dir):
        order.append(config)
        if len(order) == len(configs) - 1:
            unlock(lock)  # the other process was killed
        found = record(config, 0)
        (folder / f"{config.name}.json").write_text(json.dumps(found))
        return found

    monkeypatch.setattr(stages, "train", fake)
    stages.run_stages(BASE, tmp_path, ["tune"], ["sum"])
    assert order == [*configs[1:], configs[0]]


def test_report(tmp_path):
    finished(plan.STAGES, tmp_path)
    text = report.write_report(tmp_path, BASE)
    assert (tmp_path / "results.md").read_text() == text
    methods = text.split("###")[1]
    rows = [line.strip("| ").split(" | ") for line in methods.splitlines()]
    row = {row[0]: row for row in rows}["sum"]
    assert row[2] == "0.172" and row[4] == "0.387"
    assert {"pool.png", "front.png"} <= {p.name for p in tmp_path.iterdir()}
    runs = json.loads((tmp_path / "runs.json").read_text())
    seen = [
        run["result"]["test"]
        for run in runs
        if run["config"]["method"] == "sum" and run["config"]["seed"] > 0
        and run["config"]["alpha"] == 0.5
    ]  # fmt: skip
    first, last = (found["watch_error"] for found in seen)
    mean, half = (first + last) / 2, abs(first - last) / 2
    assert row[1] == f"{mean:.4f} ± {half:.4f}"


def test_report_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no finished run"):
        report.write_report(tmp_path, BASE)


@pytest.mark.slow
def test_two_runs(tmp_path, monkeypatch):
    """Trained, found again without training anew, and reported."""
    monkeypatch.setattr(plan, "HEADS", (((0.5, 20),), ()))
    monkeypatch.setattr(plan, "SEEDS", (1,))
    few = movielens_stand_in(users=40)
    monkeypatch.setattr(train, "load", lambda *_: few)
    monkeypatch.setattr(train, "PREDICT_BATCH", 256)
    todo = (tmp_path, ["tune", "seeds"], [plan.POOLED])
    run_stages(BASE, *todo)
    monkeypatch.setattr(keras.Model, "fit", None)  # not again
    run_stages(BASE, *todo)
    report.write_report(tmp_path, BASE)
    (table,) = (tmp_path / "results.md").read_text().split("###")[1:]
    assert "lr 0.005, γ 0.5, pool 20 | 1 |" in table
    runs = json.loads((tmp_path / "runs.json").read_text())
    assert [run["config"]["seed"] for run in runs] == [0, 1]
    for run in runs:
        for part in run["result"].values():
            assert part["watch_error"] < 0.6 and part["rating_mse"] < 4


def test_each_method_is_compiled_as_published():
    data = movielens_stand_in(users=40)
    models = {
        method: build_model(
            plan.trials(method, BASE)[-1], data.test[0], data.num_ids
        )
        for method in ("single_rating", "uncertainty", "mgda_ub", *HEADS)
    }
    assert models.pop("single_rating").output_names == ["rating"]
    served = {
        keras_mtl.strip_auxiliaries(model).count_params()
        for model in models.values()
    }
    assert len(served) == 1
    assert isinstance(models["mgda_ub"].aggregator, keras_mtl.aggregators.MGDA)
    weighting = models["uncertainty"].weighting
    assert weighting.parameterization == "log_sigma"
    for name, count in HEADS.items():
        heads = models[name].auxiliaries.weights
        assert sum(int(np.prod(weight.shape)) for weight in heads) == count


@pytest.mark.slow
def test_losses_are_sums_over_a_hundred_examples():
    """As the authors weigh them: both divided by all examples."""
    data = movielens_stand_in(users=40)
    x, y = keras.tree.map_structure(lambda array: array[:200], data.test)
    model = build_model(Config("sum", 0.1, alpha=0.3), x, data.num_ids)
    found = train.measure(model, x, y)
    logs = model.evaluate(x, y, batch_size=200, verbose=0, return_dict=True)
    wanted = 0.3 * found["watch_loss"] + 0.7 * found["rating_mse_all"]
    share = 2 * y["watch"].mean()  # not exactly one
    rating = 0.7 * found["rating_mse_all"] * (1 / share - 1)
    np.testing.assert_allclose(logs["loss"] / 100, wanted + rating, rtol=1e-4)


@pytest.mark.parametrize("optimizer", plan.OPTIMIZERS)
def test_the_learning_rate_falls_to_zero_at_the_last_step(optimizer):
    config = Config(
        "single_watch", 0.1, optimizer=optimizer, schedule="cosine",
        epochs=2, batch_size=50,
    )  # fmt: skip
    data = movielens_stand_in(users=9)
    x = keras.tree.map_structure(lambda array: array[:200], data.train[0])
    optimizer = build_model(config, x, data.num_ids).optimizer
    rates = []
    for step in (0, 4, 8):  # of 2 epochs of 4 steps
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.1, 0.05, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--stage=bake", "--stage must be of .*'front'"),
        ("--method=adam", "--method must be of .*'pta_f'"),
        ("pcgrad", "pcgrad"),
    ],
)
def test_refuses(run_example, argument, message):
    with pytest.raises(app.UsageError, match=message):
        run_example("small_towers.movielens", argument)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
