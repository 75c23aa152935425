import json
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import kills
from benchmarks.kills import Run

# Processes are forks, which must not inherit what a backend has started: what
# they do here needs none. The whole program is run by hand.
ENDS = 6


def count(folder, begun, stumbles=False):
    """Counts in a file, from where another process stopped."""
    path = folder / "count.json"
    start = json.loads(path.read_text()) if path.exists() else 0
    for number in range(start + 1, ENDS + 1):
        if stumbles and start:
            raise ValueError("I was killed")
        kills.write_whole(path, json.dumps(number))
        begun()
        time.sleep(0.2)


def forget(folder, begun):
    """Ends with how often it was begun."""
    path = folder / "count.json"
    number = json.loads(path.read_text()) if path.exists() else 0
    kills.write_whole(path, json.dumps(number + 1))
    begun()
    time.sleep(1.0)


def counted(folder):
    return [np.array(json.loads((folder / "count.json").read_text()))]


@pytest.fixture(autouse=True)
def three_kills(monkeypatch):
    class Flag:
        value = 3

    monkeypatch.setattr(kills, "_KILLS", Flag)


def outcome(work, folder):
    at_once = SimpleNamespace(uniform=lambda *_: 0.0)
    return kills.try_kills(Run("run", work, counted), at_once, folder)


@pytest.mark.slow
def test_a_run_that_goes_on(tmp_path):
    found = outcome(count, tmp_path)
    assert found.kills == 3
    assert (found.error, found.difference) == ("", 0.0)


@pytest.mark.slow
def test_a_run_that_ends_otherwise(tmp_path):
    found = outcome(forget, tmp_path)
    assert found == (3, "", 3.0)


@pytest.mark.slow
def test_a_run_that_cannot_go_on(tmp_path):
    def stumble(folder, begun):
        count(folder, begun, stumbles=True)

    assert outcome(stumble, tmp_path).error == "ValueError: I was killed"


def test_a_process_that_ends_by_itself(tmp_path):
    life = kills.live(lambda folder, begun: os._exit(3), tmp_path)
    assert not life.killed and "ended with" in life.error


def test_more_of_one_than_of_the_other_is_a_difference():
    one = np.zeros(2)
    assert kills.difference([one], [one + 0.5]) == 0.5
    assert kills.difference([one], [one, one]) == np.inf
    assert np.isnan(kills.difference([one], [one * np.nan]))
    assert kills.difference([one * np.nan], [one * np.nan]) == 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
