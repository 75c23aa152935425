"""A pytest plugin that puts keras_mtl's methods into TorchJD's classes.

`benchmarks/torchjd_suite.py` runs pytest with it. It leaves a line of JSON for
every test: how it ended, and which methods of ours it called.
"""

import importlib.util
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import torchjd_adapter


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("keras_mtl")
    group.addoption("--results", type=Path, default=Path("results.jsonl"))
    group.addoption("--stock", action="store_true", help="TorchJD as it is.")


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Comes before TorchJD's conftest, which imports models of torchvision.

    The tests of aggregators use none of them.
    """
    if importlib.util.find_spec("torchvision") is None:
        sys.modules["torchvision"] = types.ModuleType("torchvision")
    if not early_config.known_args_namespace.stock:
        from torchjd import aggregation

        torchjd_adapter.install(aggregation)


class Recorder:
    """Writes what became of every test.

    Args:
        path: File of JSON lines.
    """

    def __init__(self, path: Path):
        self.path = path
        self.outcome: dict[str, Any] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        torchjd_adapter.calls.clear()
        self.outcome = {"test": nodeid, "outcome": "passed"}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo
    ) -> Iterator[pytest.TestReport]:
        report = yield
        if report.outcome != "passed":
            self.outcome["outcome"] = report.outcome
            lines = str(call.excinfo.value).splitlines()
            first = next((line for line in lines if line.strip()), "")
            self.outcome["reason"] = f"{call.excinfo.typename}: {first}"[:300]
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.outcome["calls"] = sorted(torchjd_adapter.calls)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.outcome) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(config.getoption("results")))
