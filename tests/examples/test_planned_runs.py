"""The runs of a plan, shared by all processes that work in one folder."""

import dataclasses

import pytest

from examples.planned_runs import finder
from examples.planned_runs import run_all
from examples.runs import write_json
from keras_mtl.utils.files import try_lock
from keras_mtl.utils.files import unlock


@dataclasses.dataclass(frozen=True)
class Config:
    name: str


def test_trains_what_is_missing_and_waits_for_others(tmp_path, capsys):
    configs = [Config(name) for name in "abc"]
    lock = try_lock(tmp_path / "a.json")
    trained = []

    def train(config):
        trained.append(config.name)
        if config.name == "c":
            unlock(lock)  # the other process was killed
        record = {"config": {}, "result": len(trained)}
        write_json(tmp_path / f"{config.name}.json", record)
        return record

    for _ in range(2):
        run_all(configs, tmp_path, "tune", train, lambda r: f"= {r['result']}")
    assert trained == ["b", "c", "a"]
    assert capsys.readouterr().out.splitlines() == [
        "tune 1/3: b = 1",
        "tune 2/3: c = 2",
        "tune 3/3: a = 3",
    ]


def test_a_run_without_a_result_is_not_finished(tmp_path):
    write_json(tmp_path / "a.json", {"config": {}})
    assert finder(tmp_path)(Config("a")) is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
