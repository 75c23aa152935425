import json

import keras
import pytest
from absl import app
from absl import flags
from absl.testing import flagsaver

from benchmarks import peers
from benchmarks import step_time
from benchmarks.network import Network

TINY = Network(2, input_dim=3, units=4, depth=1, batch_size=5)


@pytest.fixture
def tiny(monkeypatch):
    """The program with a network that compiles at once."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["step_time"])
    monkeypatch.setattr(
        step_time,
        "Network",
        lambda tasks, input_dim, head_units: Network(
            tasks, input_dim, 4, 1, head_units, 5
        ),
    )


@pytest.mark.slow
def test_measures_all_steps_on_one_network():
    done = []
    results, first_seconds = step_time.benchmark(
        TINY,
        ["none", "pcgrad"],
        rounds=2,
        jit_compile=False,
        progress=done.append,
    )
    assert list(results) == list(first_seconds) == ["plain", "none", "pcgrad"]
    assert results["plain"].ratio == 1.0
    assert all(r.milliseconds > 0 for r in results.values())
    assert all(r.peer_ratio is None for r in results.values())
    assert len(done) == 4


@pytest.mark.slow
def test_measures_peers_beside_them():
    pytest.importorskip("torch")
    results, _ = step_time.benchmark(
        TINY, ["pcgrad"], ["libmtl"], rounds=2, jit_compile=False
    )
    assert list(results) == ["plain", "pcgrad", "libmtl"]
    assert results["pcgrad"].peer_ratio == 1.0
    assert results["libmtl"].peer_ratio > 0


@pytest.mark.slow
def test_the_program_prints_and_writes_each_table(tiny, capsys, tmp_path):
    path = tmp_path / "new" / "results.json"
    with flagsaver.flagsaver(
        tasks=["2", "3"],
        rounds=2,
        methods=["sum"],
        peers=[""],
        xla=False,
        output=str(path),
        optimizer="sgd",
    ):
        step_time.main(["step_time"])
    out = capsys.readouterr().out
    for line in ("date: ", "device: ", "threads: ", "load before: "):
        assert line in out
    assert f"backend: {keras.backend.backend()}" in out
    assert out.index("2 tasks") < out.index("3 tasks")
    assert out.count("| keras.Model |") == out.count("| sum ") == 2
    report = json.loads(path.read_text())
    assert "optimizer=sgd" in report["environment"]["settings"]
    assert set(report["tasks"]) == {"2", "3"}
    assert report["tasks"]["3"]["sum"]["milliseconds"] > 0


@pytest.mark.parametrize(
    "given, message",
    [
        ({"methods": ["pcgrad", "nash"]}, "--methods knows.*Received: nash"),
        ({"peers": ["pytorch"]}, "--peers knows.*Received: pytorch"),
        ({"tasks": ["1"]}, "--tasks should be numbers from 2 up"),
        ({"tasks": ["many"]}, "--tasks should be.*Received: many"),
        ({"tasks": []}, "--tasks should be"),
    ],
)
def test_wrong_flags(tiny, given, message):
    with flagsaver.flagsaver(**given):
        with pytest.raises(app.UsageError, match=message):
            step_time.main(["step_time"])


def test_leaves_out_peers_that_are_not_installed(monkeypatch):
    monkeypatch.setitem(peers.REQUIRED, "torchjd", ("no_such_thing",))
    monkeypatch.setitem(peers.REQUIRED, "torch", ("numpy",))
    assert step_time.installed(["torchjd", "torch"]) == ["torch"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
