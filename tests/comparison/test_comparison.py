"""Methods compared on a user's own model and data."""

import collections
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_mtl
from tests.comparison.fakes import DATA
from tests.comparison.fakes import Fake
from tests.comparison.fakes import build

optuna = pytest.importorskip("optuna")
pytest.importorskip("filelock")
pytest.importorskip("moocore")

ROOT = Path(__file__).parents[2]


def studies(storage):
    """Optuna's study of each method."""
    return {
        name.rpartition("/")[2]: optuna.load_study(
            study_name=name, storage=storage
        )
        for name in optuna.get_all_study_names(storage)
    }


def ended(storage):
    """Settings of the trials that ended, for each method."""
    return {
        method: [
            trial.params["rate"]
            for trial in study.get_trials()
            if trial.state.name in ("COMPLETE", "PRUNED")
        ]
        for method, study in studies(storage).items()
    }


class TestRun:
    def test_tunes_alike_and_tests_the_best(self, compare, memory):
        comparison = compare()
        comparison.run(**DATA, trials=4, seeds=3, verbose=0)
        trials = ended(memory)
        assert {k: len(v) for k, v in trials.items()} == {
            "sum": 4, "better": 4
        }  # fmt: skip
        # The first settings are the same, so that luck is.
        assert trials["sum"] == trials["better"]
        results = comparison.results()
        best = min(trials["sum"], key=lambda rate: abs(rate - 0.3))
        for row in results.rows:
            assert row["parameters"] == {"rate": best}
            # At the second epoch, the best one on validation data.
            assert row["epoch"] == 2
            bonus = 0.01 * row["seed"]
            if row["method"] == "better":
                bonus += 0.05 + 1e-3 * (row["seed"] % 2)
            value = 0.8 - abs(best - 0.3) + bonus
            assert row["test"]["left_accuracy"] == pytest.approx(value)
        assert [row["seed"] for row in results.rows] == [1, 2, 3] * 2
        assert results.maximize.tolist() == [True, True]

    @pytest.mark.slow
    def test_what_is_finished_stays_and_more_goes_on(self, compare, memory):
        compare().run(**DATA, trials=2, seeds=1, verbose=0)
        before = ended(memory)
        calls = []

        def counted(trial):
            calls.append((trial.method, trial.seed))
            return build(trial)

        again = compare(build=counted)
        again.run(**DATA, trials=2, seeds=1, verbose=0)
        assert calls == []
        again.run(**DATA, trials=3, seeds=2, verbose=0)
        after = ended(memory)
        assert {name: rates[:2] for name, rates in after.items()} == before
        assert calls[:2] == [("sum", 0), ("better", 0)]
        assert len(again.results()) == 4

    def test_an_error_is_told_and_the_trial_repeated(self, compare, memory):
        suggested = []

        def fails(trial):
            suggested.append(trial.suggest_float("rate", 0.0, 1.0))
            if len(suggested) == 2:
                raise RuntimeError("broken")
            return build(trial)

        comparison = compare({"sum": {}}, build=fails)
        with pytest.raises(RuntimeError, match="broken"):
            comparison.run(**DATA, trials=3, seeds=1, verbose=0)
        comparison.run(**DATA, trials=3, seeds=1, verbose=0)
        assert len(ended(memory)["sum"]) == 3

    @pytest.mark.slow
    def test_what_ctrl_c_interrupts_is_repeated(self, compare, memory):
        asked = []

        def interrupts(trial):
            asked.append(trial.suggest_float("rate", 0.0, 1.0))
            if len(asked) == 2:
                raise KeyboardInterrupt
            return build(trial)

        comparison = compare({"sum": {}}, build=interrupts)
        with pytest.raises(KeyboardInterrupt):
            comparison.run(**DATA, trials=3, seeds=1, verbose=0)
        comparison.run(**DATA, trials=3, seeds=1, verbose=0)
        assert asked[1] == asked[2]
        assert ended(memory)["sum"] == [asked[0], *asked[2:4]]

    @pytest.mark.slow
    def test_another_storage_has_other_trials(self, compare, tmp_path):
        for constant in (0.1, 0.4):
            comparison = compare(
                {"sum": {}},
                build=lambda trial, rate=constant: Fake(
                    trial.suggest_categorical("rate", [rate])
                ),
                storage=optuna.storages.InMemoryStorage(),
            )
            comparison.run(**DATA, trials=1, seeds=1, verbose=0)
            (row,) = comparison.results().rows
            assert row["parameters"] == {"rate": constant}

    def test_a_wrong_name_may_be_mended(self, compare):
        with pytest.raises(ValueError, match="Did you mean 'left_accuracy'"):
            compare(metrics={"left_acuracy": "max"}).run(
                **DATA, trials=1, verbose=0
            )
        compare().run(**DATA, trials=1, seeds=1, verbose=0)

    @pytest.mark.slow
    def test_trials_that_diverge_count(self, compare, memory):
        def diverges(trial):
            rate = trial.suggest_float("rate", 0.0, 1.0)
            return Fake(rate if rate > 0.2 else float("nan"))

        comparison = compare({"sum": {}}, build=diverges)
        comparison.run(**DATA, trials=6, seeds=1, verbose=0)
        rates = ended(memory)["sum"]
        assert len(rates) == 6
        (row,) = comparison.results().rows
        assert min(rates) < 0.2 < row["parameters"]["rate"]

    @pytest.mark.slow
    def test_all_diverge(self, compare):
        comparison = compare(
            {"sum": {}}, build=lambda trial: Fake(float("nan"))
        )
        with pytest.raises(ValueError, match="No trial of method 'sum'"):
            comparison.run(**DATA, trials=2, seeds=1, verbose=0)

    @pytest.mark.slow
    def test_prunes(self, compare, memory, tmp_path):
        class Second(optuna.pruners.BasePruner):
            def prune(self, study, trial):
                return trial.number == 1

        comparison = compare({"sum": {}}, pruner=Second())
        comparison.run(**DATA, trials=3, seeds=1, verbose=0)
        record = json.loads((tmp_path / "trials" / "sum-1.json").read_text())
        assert record["state"] == "pruned"
        assert len(record["history"]) == 1
        trials = studies(memory)["sum"].trials
        states = [trial.state.name for trial in trials]
        assert states == ["COMPLETE", "PRUNED", "COMPLETE"]

    @pytest.mark.slow
    def test_fronts(self, compare, tmp_path):
        seen = []

        def arguments(preference):
            seen.append(preference)
            return {"loss_weights": preference}

        comparison = compare(
            {"sum": arguments, "better": {}}, tasks=["left", "right"]
        )
        rays = np.array([[1.0, 3.0], [3.0, 1.0]])
        comparison.run(**DATA, trials=1, seeds=2, preferences=rays, verbose=0)
        assert seen[0] == {"left": 0.5, "right": 0.5}
        found = comparison.results().by("preference")
        assert {key: len(points) for key, points in found.items()} == {
            None: 4,
            "{'left': 0.25, 'right': 0.75}": 2,
            "{'left': 0.75, 'right': 0.25}": 2,
        }
        path = tmp_path / "front.png"
        comparison.plot_front(path)
        assert path.read_bytes().startswith(b"\x89PNG")

    @pytest.mark.slow
    def test_fronts_of_three_metrics_and_of_one(self, compare, tmp_path):
        class Three(Fake):
            def logs(self, prefix=""):
                found = super().logs(prefix)
                return {
                    **found,
                    f"{prefix}third": found[f"{prefix}left_accuracy"],
                }

        for names in (["left_accuracy", "right_accuracy", "third"], ["third"]):
            comparison = compare(
                {"sum": {}},
                dict.fromkeys(names, "max"),
                lambda trial: Three(0.3),
                directory=tmp_path / names[-1] / str(len(names)),
            )
            comparison.run(**DATA, trials=1, seeds=1, verbose=0)
            if len(names) == 3:
                assert len(comparison.plot_front().axes) == 4
        with pytest.raises(ValueError, match="of two metrics or more"):
            comparison.plot_front()

    @pytest.mark.slow
    def test_a_model_of_keras(self, compare):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(64, 4)).astype("float32")
        y = {"left": x[:, :1], "right": x[:, 1:2]}

        def build(trial):
            inputs = keras.Input((4,))
            shared = keras.layers.Dense(3)(inputs)
            outputs = {
                task: keras.layers.Dense(1, name=task)(shared) for task in y
            }
            model = keras_mtl.MultiTaskModel(inputs, outputs)
            model.compile(
                keras.optimizers.SGD(trial.suggest_float("rate", 0.01, 0.1)),
                loss={"left": "mse", "right": "mse"},
                metrics={"left": ["mae"], "right": ["mae"]},
                **trial.compile_arguments,
            )
            return model

        rule = keras_mtl.aggregators.PCGrad()
        comparison = compare(
            {"pcgrad": {"aggregator": rule}},
            {"left_mae": "min", "right_mae": "min"},
            build,
        )
        comparison.run(
            (x, y), (x, y), (x, y), trials=1, seeds=1, epochs=1, verbose=0
        )
        (row,) = comparison.results().rows
        mean = (row["test"]["left_mae"] + row["test"]["right_mae"]) / 2
        assert row["test_score"] == pytest.approx(-mean)
        assert not rule.built


@pytest.mark.slow
def test_kill_and_share(tmp_path):
    """A process is killed, and two begin where it was."""
    program = (
        "import sys; from tests.comparison.fakes import *\n"
        "from keras_mtl.comparison import Comparison\n"
        "methods = {'sum': {}, 'better': {}}\n"
        "c = Comparison(build, methods, METRICS, sys.argv[1])\n"
        "c.run(**DATA, trials=8, seeds=2, verbose=2)\n"
    )
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "FAKE_SECONDS": "0.03"
    }  # fmt: skip

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    killed = start()
    deadline = time.monotonic() + 240
    while len(list(tmp_path.glob("trials/*.json"))) < 5:
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    processes = [start(), start()]
    outputs = [process.communicate(timeout=240)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    url = f"sqlite:///{tmp_path}/study.db"
    for method, rates in ended(url).items():
        assert len(rates) == len(set(rates)) == 8
        states = [trial.state.name for trial in studies(url)[method].trials]
        # None is left behind, and what was interrupted is kept as such.
        assert set(states) <= {"COMPLETE", "FAIL"}
    files = [path.name for path in tmp_path.glob("seeds/*.json")]
    by_method = collections.Counter(name.split("-")[0] for name in files)
    assert by_method == {"sum": 2, "better": 2}
    # Both did some of it.
    assert all(re.search(r"^\d+/20 ", text, re.MULTILINE) for text in outputs)


class TestRefuses:
    def test_other_runs_in_one_directory(self, compare):
        compare().run(**DATA, trials=1, seeds=1, epochs=2, verbose=0)
        with pytest.raises(ValueError, match="fit: epochs.*'2', '3'"):
            compare().run(**DATA, trials=1, epochs=3, verbose=0)
        for kwargs, message in [
            ({"seed": 1}, "'seed': .0, 1."),
            ({"tasks": ["right", "left"]}, "'tasks'"),
            ({"score": lambda found: 0.0}, "`score` must be as it was"),
        ]:
            with pytest.raises(ValueError, match=message):
                compare(**kwargs).run(**DATA, trials=1, epochs=2, verbose=0)
        other = {**DATA, "train": ([np.zeros(2)], [0.0])}
        with pytest.raises(ValueError, match="data: train"):
            compare().run(**other, trials=1, epochs=2, verbose=0)
        changed = {"sum": {"aggregator": "pcgrad"}}
        with pytest.raises(ValueError, match="method: sum"):
            compare(changed).run(**DATA, trials=1, epochs=2, verbose=0)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [({"trials": 0}, "`trials`"), ({"seeds": 0}, "`seeds`")],
    )
    def test_numbers(self, arguments, message, compare):
        with pytest.raises(ValueError, match=message):
            compare().run(**DATA, **arguments)

    def test_no_results(self, compare):
        with pytest.raises(ValueError, match="Call `run` first"):
            compare().results()

    def test_no_function(self, compare):
        with pytest.raises(ValueError, match="`build` must be a function"):
            compare(build="model")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
