"""The comparison on Keras' own tests, without a checkout of Keras."""

import functools
import importlib.util
import json
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import keras_mtl
from benchmarks import keras_suite
from benchmarks import keras_suite_plugin as plugin

MODULE = """
import os.path

import keras
from keras.src import models
from keras.src.models.functional import Functional
from keras.src.models.model import Model, Trainer


class Subclassed(keras.Model):
    pass


class Mixed(Trainer, keras.layers.Dense):
    def __init__(self, units):
        keras.layers.Dense.__init__(self, units, kernel_initializer="ones")
        Trainer.__init__(self)


def inside():
    from keras.models import Model

    return Model
"""


class Replaced:
    """Stands for `keras.Model`."""


@pytest.fixture
def load(tmp_path):
    """Loads a module as one of Keras' tests."""

    def load(source, classes, name="keras.src.some_test"):
        path = tmp_path / f"{name.split('.')[-1]}.py"
        path.write_text(source)
        finder = plugin.Finder(classes)
        spec = finder.find_spec(name, [str(tmp_path)])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_whatever_way_a_test_module_imports_a_class(load):
    module = load(MODULE, {keras.Model: Replaced})
    assert module.Model is Replaced
    assert module.models.Model is Replaced
    assert module.keras.src.models.Model is Replaced
    assert module.inside() is Replaced
    assert issubclass(module.Subclassed, Replaced)
    # Others are as they were, and Keras itself sees nothing of it.
    assert module.keras.layers.Dense is keras.layers.Dense
    assert module.os.path is sys.modules["os.path"]
    assert keras.src.models.Model is keras.Model is not Replaced


def test_patches_of_a_test_reach_keras(load):
    module = load(MODULE, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.keras.config, "floatx", lambda: "patched")
        assert keras.config.floatx() == "patched"
    assert keras.config.floatx() == "float32"


def test_other_modules_are_left_alone():
    finder = plugin.Finder({})
    for name in ("keras.src.models", "tests.some_test", "numpy"):
        assert finder.find_spec(name, None) is None


@pytest.mark.parametrize("name, exchanged", [("some", True), ("model", False)])
def test_functional_is_stock_where_tests_only_ask_for_it(load, name, exchanged):
    module = load(
        MODULE,
        {plugin.Functional: Replaced},
        f"keras.src.models.{name}_test",
    )
    assert (module.Functional is Replaced) == exchanged


@pytest.mark.parametrize("base", [keras.Model, keras_mtl.MultiTaskModel])
def test_a_trainer_mixed_into_a_layer(load, base):
    module = load(MODULE, {plugin.Trainer: plugin.mixed_in(base)})
    model = module.Mixed(2)
    assert isinstance(model, base)
    # `Dense` of ones: 3 for a row of ones, and the loss is the square of it.
    model.compile("sgd", loss="mse")
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    assert model.evaluate(x, y, verbose=0) == pytest.approx(9)
    assert model.predict(x, verbose=0) == pytest.approx(3 * np.ones((4, 2)))
    # A step of .01 along 2 * 3 / 2 for each kernel: 1 - .03.
    model.fit(x, y, verbose=0)
    assert keras.ops.convert_to_numpy(model.kernel) == pytest.approx(
        0.97 * np.ones((3, 2))
    )


@pytest.mark.slow
def test_the_sum_is_the_default_where_there_is_a_loss():
    class Ours(keras_mtl.MultiTaskModel):
        pass

    recorder = SimpleNamespace(outcome={})
    plugin.compile_with("sum", Ours, recorder)
    plugin.hide_conflict(Ours)
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2)(inputs)
    heads = {name: keras.layers.Dense(1, name=name)(shared) for name in "ab"}
    model = Ours(inputs, heads)
    model.compile()
    assert model.aggregator is None and recorder.outcome == {}
    model.compile("sgd", {"a": "mse", "b": "mse"})
    assert model.aggregator.name == "sum"
    assert recorder.outcome == {"compiles": True}
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")
    history = model.fit(x, {"a": y, "b": y}, verbose=0).history
    assert set(history) == {"loss", "a_loss", "b_loss"}
    assert keras_mtl.MultiTaskModel.compile is not Ours.compile


def test_gradients_where_nothing_is_shared_are_those_of_the_tasks():
    def refuse(*unused):
        raise AssertionError("refused")

    combine = plugin.without_refusal(refuse)
    a, b = keras.ops.ones((2, 3)), keras.ops.full((4,), 2.0)
    gradients = combine(None, [[a, None], [None, b], [None, None]]).gradients
    assert keras.ops.convert_to_numpy(gradients[0]) == pytest.approx(
        np.ones((2, 3))
    )
    assert keras.ops.convert_to_numpy(gradients[1]) == pytest.approx(
        np.full(4, 2.0)
    )
    assert gradients[2] is None
    with pytest.raises(AssertionError, match="refused"):
        combine(None, [[a, a]])


@pytest.fixture
def run_pytest(tmp_path, monkeypatch):
    """Runs a file of tests in this process, as the plugin's host does."""
    # Workers that are asked for there would not know the plugin.
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return functools.partial(run_file, tmp_path)


def run_file(tmp_path, source, *arguments):
    (tmp_path / "test_it.py").write_text(source)
    pytest.main(
        [
            *("-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"),
            "--import-mode=importlib",
            f"--results={tmp_path / 'results'}",
            *arguments,
            str(tmp_path / "test_it.py"),
        ],
        plugins=[plugin],
    )
    return keras_suite.read_results(tmp_path / "results")


OUTCOMES = """
import time

import pytest

def test_passes():
    pass

def test_fails():
    raise ValueError("first line\\nsecond line")

def test_skips():
    pytest.skip("not here")

def test_hangs():
    time.sleep(60)
"""


def test_what_becomes_of_every_test_is_recorded(run_pytest):
    before = list(sys.meta_path)
    found = run_pytest(OUTCOMES, "--seconds=1")
    assert sys.meta_path == before
    found = {test.split("::")[1]: record for test, record in found.items()}
    outcomes = {test: record["outcome"] for test, record in found.items()}
    assert outcomes == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skips": "skipped",
        "test_hangs": "failed",
    }
    assert found["test_fails"]["reason"] == "ValueError: first line"
    assert "longer than 1 seconds" in found["test_hangs"]["reason"]


def test_what_is_known_and_what_is_not_asked_for_does_not_run(
    tmp_path, run_pytest
):
    known = {"test": "test_it.py::test_fails", "outcome": "crashed"}
    (tmp_path / "results").write_text(json.dumps(known) + "\n")
    (tmp_path / "only").write_text(
        "test_it.py::test_fails\ntest_it.py::test_passes"
    )
    found = run_pytest(OUTCOMES, f"--only={tmp_path / 'only'}")
    assert {test: record["outcome"] for test, record in found.items()} == {
        "test_it.py::test_fails": "crashed",
        "test_it.py::test_passes": "passed",
    }


def record(outcome, **others):
    return {"outcome": outcome, **others}


def test_only_what_stock_keras_passes_counts(tmp_path):
    outcomes = {
        "none": {
            "keras/src/a_test.py::both": record("passed", compiles=True),
            "keras/src/a_test.py::ours": record("failed", reason="Oh"),
            "keras/src/b_test.py::all": record("failed", reason="No"),
            "keras/src/b_test.py::not_here": record("skipped", reason="-"),
        },
        "sum": {"keras/src/a_test.py::both": record("crashed")},
        "stock": {
            "keras/src/a_test.py::both": record("passed"),
            "keras/src/a_test.py::ours": record("passed"),
            "keras/src/b_test.py::all": record("failed", reason="No"),
        },
    }

    def run(model, results, only=None):
        assert results == tmp_path / f"{model}.jsonl"
        chosen = outcomes[model]
        assert only is None or only == list(chosen)
        return chosen

    # The order in which tests failed: ours as it is, then the sum.
    outcomes["stock"] = {
        test: outcomes["stock"][test]
        for test in (
            "keras/src/a_test.py::ours",
            "keras/src/b_test.py::all",
            "keras/src/a_test.py::both",
        )
    }
    lines = keras_suite.table(keras_suite.run_with_all(tmp_path, run))
    assert "| a_test.py | 1 | 1 | 0 | 1 |" in lines
    assert "| b_test.py | 0 | 0 | 0 | 0 |" in lines
    assert "| all | 1 | 1 | 0 | 1 |" in lines
    assert lines[-6:] == [
        "",
        "aggregator=None: keras/src/a_test.py::ours",
        "    Oh",
        "",
        '"sum": keras/src/a_test.py::both',
        "    crashed",
    ]


def test_unknown_test_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="Received: 'no_test.py'"):
        keras_suite.run_tests(
            tmp_path,
            ["no_test.py"],
            model="none",
            results=tmp_path / "results",
        )


def test_not_a_checkout(tmp_path):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["keras_suite"])
    with flagsaver.flagsaver(keras=str(tmp_path)):
        with pytest.raises(keras_suite.app.UsageError, match="checkout"):
            keras_suite.main([""])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
