"""Runs done one after the other."""

import pytest

from examples.runs import write_json
from examples.small_towers.images import work
from examples.small_towers.images.train import Config


def test_runs_what_is_missing(tmp_path, monkeypatch, capsys):
    trained = []

    def train(config, folder, data_dir):
        trained.append(config.seed)
        record = {"result": {"validation": {"left": 0.5}}, "seconds": 1.0}
        record["config"] = {}
        write_json(folder / f"{config.name}.json", record)
        return record

    monkeypatch.setattr(work, "train", train)
    configs = [Config("sum", "mnist", "large", 0.1, seed=s) for s in (0, 1)]
    monkeypatch.setattr(work.plan, "stage", lambda *_: iter(configs))
    for _ in range(2):
        work.run_stages(["tune"], configs[:1], tmp_path, None)
    assert trained == [0, 1]
    assert "mnist, tune 2/2: " in capsys.readouterr().out


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
