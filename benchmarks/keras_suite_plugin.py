"""A pytest plugin that puts `MultiTaskModel` in the place of `keras.Model`.

It does so in test modules alone: Keras itself goes on with its own classes, as
it does for users. Whatever a test module imports from Keras, at its top or in a
function, is looked at on the way; a class that has a substitute is exchanged.

`benchmarks/keras_suite.py` runs pytest with this plugin, which leaves two lines
of JSON for every test: that it began, and how it ended.
"""

import builtins
import functools
import importlib.abc
import importlib.machinery
import json
import signal
import sys
import types
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from keras.src.models.functional import Functional
from keras.src.models.model import Trainer
from keras.src.trainers import trainer as base_trainer

from benchmarks.keras_suite import read_results

CHOICES = ("stock", "none", "sum")
# `keras.src.testing` makes models of its own, in which layers are trained.
TEST_HELPERS = ("keras.src.testing.test_case",)
# These only ask whether a model, or a part of one, is a stock functional one.
ASK_FOR_FUNCTIONAL = (
    "keras.src.models.model_test",
    "keras.src.models.sequential_test",
)


# -- pytest ---------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("keras_mtl")
    group.addoption("--model", choices=CHOICES, default="stock")
    group.addoption("--results", type=Path, default=Path("results.jsonl"))
    group.addoption("--only", type=Path, help="File with ids, one a line.")
    group.addoption("--seconds", type=int, default=120)
    group.addoption("--no-xla", action="store_true")


def pytest_configure(config: pytest.Config) -> None:
    recorder = Recorder(
        config.getoption("results"),
        config.getoption("only"),
        config.getoption("seconds"),
    )
    config.pluginmanager.register(recorder)
    if config.getoption("no_xla"):
        compile_without_xla()
    finder = Finder(substitutes(config.getoption("model"), recorder))
    sys.meta_path.insert(0, finder)
    config.add_cleanup(lambda: sys.meta_path.remove(finder))


class Recorder:
    """Writes what becomes of every test, and skips what was run before.

    Args:
        path: File of JSON lines. What a run that broke off has left there is
            not run again.
        only: File with the tests to run, or `None` for all.
        seconds: Longest time that a test may take.
    """

    def __init__(self, path: Path, only: Path | None, seconds: int):
        self.path = path
        self.only = only and set(only.read_text(encoding="utf-8").split("\n"))
        self.seconds = seconds
        self.known = read_results(path)
        self.outcome: dict[str, Any] = {}

    def wants(self, test: str) -> bool:
        return test not in self.known and (not self.only or test in self.only)

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        left_out = [item for item in items if not self.wants(item.nodeid)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if self.wants(item.nodeid)]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.outcome = {"test": nodeid, "outcome": "crashed", "seconds": 0.0}
        self._write()
        self.outcome["outcome"] = "passed"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Ends a test that hangs, once it is back in Python."""
        previous = signal.signal(signal.SIGALRM, self._out_of_time)
        signal.alarm(self.seconds)
        try:
            return (yield)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)

    def _out_of_time(self, *unused: Any) -> None:
        raise TimeoutError(f"longer than {self.seconds} seconds")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo
    ) -> Iterator[pytest.TestReport]:
        report = yield
        self.outcome["seconds"] += report.duration
        if report.outcome != "passed":
            self.outcome["outcome"] = report.outcome
            self.outcome["reason"] = _first_line(call.excinfo)
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._write()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            reason = report.longreprtext.strip().splitlines()[-1]
            self.outcome = {
                "test": report.nodeid,
                "outcome": "failed",
                "seconds": 0.0,
                "reason": reason,
            }
            self._write()

    def _write(self) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.outcome) + "\n")


def _first_line(excinfo: pytest.ExceptionInfo) -> str:
    lines = [line for line in str(excinfo.value).splitlines() if line.strip()]
    message = lines[0].strip() if lines else ""
    return f"{excinfo.typename}: {message}"[:300]


# -- what is exchanged for what -------------------------------------------


def substitutes(model: str, recorder: Recorder) -> dict[type, type]:
    """Stock classes, and what test modules get in their place.

    Args:
        model: "stock" leaves all as it is, but for tests that mix Keras'
            trainer into a layer: they get `keras.Model` to mix in. "none" is
            `MultiTaskModel` as it is, "sum" with that aggregator wherever a
            test compiles with a loss.
        recorder: Is told which tests compile a model with a loss.
    """
    if model == "stock":
        return {Trainer: mixed_in(keras.Model)}
    import keras_mtl
    from keras_mtl.model import FunctionalMultiTaskModel
    from keras_mtl.trainers import aggregate
    from keras_mtl.trainers import building
    from keras_mtl.trainers import observations
    from keras_mtl.trainers import trainer

    compile_with(
        "sum" if model == "sum" else None, keras_mtl.MultiTaskModel, recorder
    )
    if model == "sum":
        hide_conflict(keras_mtl.MultiTaskModel)
        aggregate.combine = without_refusal(aggregate.combine)
        for module in (aggregate, observations):
            module.accept_frozen = lambda model: None
        for module in (building, trainer):
            module.check_tasks = lambda model, losses: None
    return {
        keras.Model: keras_mtl.MultiTaskModel,
        Functional: FunctionalMultiTaskModel,
        Trainer: mixed_in(keras_mtl.MultiTaskModel),
    }


def compile_without_xla() -> None:
    """Lets `jit_compile="auto"` mean no, which is quicker on TensorFlow."""
    if keras.backend.backend() == "tensorflow":
        base_trainer.Trainer._resolve_auto_jit_compile = lambda self: False


def compile_with(
    aggregator: str | None, model_class: type, recorder: Recorder
) -> None:
    """Gives `compile` another default where there is a loss."""
    compile = model_class.compile

    @functools.wraps(compile)
    def compile_by_default(
        self: Any,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if loss is not None:
            kwargs.setdefault("aggregator", aggregator)
            recorder.outcome["compiles"] = True
        compile(self, optimizer, loss, *args, **kwargs)

    model_class.compile = compile_by_default


def hide_conflict(model_class: type) -> None:
    """Leaves out of the logs the one that only an aggregator has.

    Tests that compare all logs could not tell us of any other difference.
    """
    get_metrics_result = model_class.get_metrics_result

    @functools.wraps(get_metrics_result)
    def without_conflict(self: Any) -> dict[str, Any]:
        logs = get_metrics_result(self)
        return {k: v for k, v in logs.items() if k != "gradient_conflict"}

    model_class.get_metrics_result = without_conflict


def without_refusal(combine: Callable[..., Any]) -> Callable[..., Any]:
    """Lets models train with an aggregator that share nothing between tasks.

    They are refused otherwise, as there is nothing to aggregate. Most models
    in Keras' tests are such, and would say nothing of the rest of the step.
    """
    from keras_mtl.gradients.gram import tasks_of
    from keras_mtl.gradients.gram import total
    from keras_mtl.gradients.sparse import dense
    from keras_mtl.trainers.combine import Combined

    def combine_any(aggregator: Any, columns: list, *rest: Any) -> Any:
        if any(len(tasks_of(column)) > 1 for column in columns):
            return combine(aggregator, columns, *rest)
        gradients = [
            total([None if g is None else dense(g) for g in column])
            for column in columns
        ]
        norms = [keras.ops.sum(g * g) for g in gradients if g is not None]
        num_tasks = len(columns[0]) if columns else 1
        gram = keras.ops.eye(num_tasks) * sum(norms, keras.ops.zeros(()))
        weights = keras.ops.ones((num_tasks,))
        return Combined(gradients, gram, weights, keras.ops.ones(()))

    return combine_any


class TrainerOnly(keras.Model):
    """A model that leaves to the layer that it is mixed into what is a layer's.

    `class Example(Trainer, Dense)` is to have the constructor and the `call`
    of `Dense`, which come behind those of `keras.Model`.
    """

    def __init__(self) -> None:
        Trainer.__init__(self)

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        place = cls.__mro__.index(TrainerOnly)
        ahead, behind = cls.__mro__[:place], cls.__mro__[place + 1 :]
        layers = [
            base
            for base in behind
            if issubclass(base, keras.Layer)
            and base not in (keras.Model, keras.Layer)
        ]
        for name in vars(keras.Model):
            if any(name in vars(base) for base in ahead):
                continue
            owner = next((base for base in layers if name in vars(base)), None)
            if owner is not None:
                setattr(cls, name, vars(owner)[name])


def mixed_in(model_class: type) -> type:
    """The class to use as tests do Keras' trainer: mixed into a layer."""
    if model_class is keras.Model:
        return TrainerOnly
    return type("Trainer", (model_class, TrainerOnly), {})


# -- imports of test modules ----------------------------------------------


class Finder(importlib.abc.MetaPathFinder):
    """Gives test modules of Keras an `import` that exchanges classes."""

    def __init__(self, classes: dict[type, type]):
        self.classes = classes

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        is_test = name.startswith("keras.") and name.endswith("_test")
        if not is_test and name not in TEST_HELPERS:
            return None
        classes = dict(self.classes)
        if name in ASK_FOR_FUNCTIONAL:
            classes.pop(Functional, None)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = Loader(name, spec.origin, Exchange(classes))
        return spec


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module in which `import` is another function."""

    def __init__(self, name: str, path: str, exchange: "Exchange"):
        super().__init__(name, path)
        self.exchange = exchange

    def exec_module(self, module: types.ModuleType) -> None:
        module.__builtins__ = {
            **vars(builtins),
            "__import__": self.exchange.import_module,
        }
        super().exec_module(module)


class Exchange:
    """What a test module sees of Keras.

    Args:
        classes: Stock classes and their substitutes.
    """

    def __init__(self, classes: dict[type, type]):
        self.classes = classes

    def import_module(self, *args: Any, **kwargs: Any) -> Any:
        return self.seen(__import__(*args, **kwargs))

    def seen(self, value: Any) -> Any:
        if isinstance(value, types.ModuleType):
            is_keras = value.__name__.split(".")[0] == "keras"
            return View(value, self) if is_keras else value
        if isinstance(value, type):
            return self.classes.get(value, value)
        return value


class View:
    """A module of Keras as a test module sees it."""

    def __init__(self, module: types.ModuleType, exchange: Exchange):
        object.__setattr__(self, "_viewed", (module, exchange))

    def __getattribute__(self, name: str) -> Any:
        module, exchange = object.__getattribute__(self, "_viewed")
        return exchange.seen(getattr(module, name))

    # What a test patches is patched in the module, where Keras looks for it.
    def __setattr__(self, name: str, value: Any) -> None:
        module, _ = object.__getattribute__(self, "_viewed")
        setattr(module, name, value)

    def __delattr__(self, name: str) -> None:
        module, _ = object.__getattribute__(self, "_viewed")
        delattr(module, name)
