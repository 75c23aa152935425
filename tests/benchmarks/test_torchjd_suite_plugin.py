"""What the plugin writes of a test."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import torchjd_adapter
from benchmarks.torchjd_suite_plugin import Recorder


def test_records_the_outcome_and_whom_it_called(tmp_path):
    recorder = Recorder(tmp_path / "results.jsonl")
    recorder.pytest_runtest_logstart("test_a")
    torchjd_adapter.calls.add("MGDAWeighting")
    report = SimpleNamespace(outcome="failed")
    call = SimpleNamespace(
        excinfo=SimpleNamespace(value="\nfar off", typename="AssertionError")
    )
    hook = recorder.pytest_runtest_makereport(call)
    next(hook)
    with pytest.raises(StopIteration) as stop:
        hook.send(report)
    assert stop.value.value is report
    recorder.pytest_runtest_logfinish("test_a")
    recorder.pytest_runtest_logstart("test_b")
    recorder.pytest_runtest_logfinish("test_b")
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in lines.splitlines()] == [
        {
            "test": "test_a",
            "outcome": "failed",
            "reason": "AssertionError: far off",
            "calls": ["MGDAWeighting"],
        },
        {"test": "test_b", "outcome": "passed", "calls": []},
    ]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
