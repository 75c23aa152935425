"""One run: a network trained on some images, judged at its end."""

import json

import numpy as np
import pytest

from examples.small_towers.images import train
from examples.small_towers.images.train import Config

CONFIG = Config(
    "self_auxiliary", "mnist", "small", 0.05, weight=1.0, temperature=2.0,
    epochs=2, limit=12, batch_size=20,
)  # fmt: skip


def draw(count, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, 36, 36, 1)).astype("uint8")
    labels = rng.integers(0, 10, (2, count)).astype("int32")
    return x, {"left": labels[0], "right": labels[1]}


def test_a_run_is_recorded_and_not_repeated(tmp_path, monkeypatch):
    loads = []

    def load(*args):
        loads.append(args)
        return {part: draw(40, i) for i, part in enumerate(train.PARTS)}

    monkeypatch.setattr(train, "_load", load)
    record = train.train(CONFIG, tmp_path)
    path = tmp_path / f"{CONFIG.name}.json"
    assert json.loads(path.read_text()) == record
    assert len(record["history"]) == 2
    assert "left_aux_loss" in record["history"][0]
    for part in train.PARTS:
        assert set(record["result"][part]) == {"left", "right"}
    assert train.train(CONFIG, tmp_path) == record
    assert len(loads) == 1


def test_names_tell_runs_apart():
    assert CONFIG.name == (
        "mnist-small-self_auxiliary-weight1-temperature2"
        "-rate0.05-epochs2-limit12-seed0"
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
