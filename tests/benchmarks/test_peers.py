import subprocess
import sys

import numpy as np
import pytest

from benchmarks import keras_steps
from benchmarks import peers
from benchmarks.network import Network


class Opposed(Network):
    """Two tasks that want the opposite."""

    def batch(self):
        x, labels = super().batch()
        first, second = self.tasks
        return x, {first: labels[first], second: -2 * labels[first]}


OPPOSED = Opposed(2, input_dim=4, units=5, depth=2, batch_size=6, head_units=0)


def train(method, optimizer, start=None):
    """Weights before and after ten steps of Keras."""
    model = keras_steps.make_model(method, OPPOSED, optimizer, False)
    if start is None:
        start = model.get_weights()
        # Equal heads, so that the gradients are as opposed as the labels.
        start[-2:] = start[-4:-2]
    model.set_weights(start)
    for _ in range(10):
        model.train_on_batch(*OPPOSED.batch())
    return start, model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize(
    "peer, method, optimizer, tolerance",
    [
        ("torch", "plain", "sgd", 1e-5),
        # PyTorch's Adam adds epsilon to a corrected denominator.
        ("torch", "plain", "adam", 1e-4),
        ("torchjd", "pcgrad", "sgd", 1e-5),
        ("libmtl", "pcgrad", "sgd", 1e-5),
    ],
)
def test_trains_as_keras_does(peer, method, optimizer, tolerance):
    for package in peers.REQUIRED[peer]:
        pytest.importorskip(package)
    # With two tasks there is one order, and PCGrad is the same everywhere.
    start, expected = train(method, optimizer)
    other = peers.Peer(peer, OPPOSED, start, optimizer)
    for _ in range(10):
        other.step()
    moved = max(
        np.abs(a - b).max() for a, b in zip(start, expected, strict=True)
    )
    assert moved > 100 * tolerance
    for theirs, ours in zip(other.get_weights(), expected, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=tolerance)


@pytest.mark.slow
def test_pcgrad_projects_here():
    # Or the test above would compare sums.
    start, by_sum = train("sum", "sgd")
    _, by_pcgrad = train("pcgrad", "sgd", start)
    assert np.abs(by_sum[0] - by_pcgrad[0]).max() > 1e-3


@pytest.mark.slow
def test_heads_with_a_hidden_layer_are_those_of_keras():
    pytest.importorskip("torch")
    network = Network(
        3, input_dim=4, units=5, depth=2, batch_size=6, head_units=2
    )
    model = keras_steps.make_model("plain", network, "sgd", False)
    other = peers.Peer("torch", network, model.get_weights(), "sgd")
    for _ in range(10):
        model.train_on_batch(*network.batch())
        other.step()
    for theirs, ours in zip(
        other.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["torchjd", "libmtl"])
def test_runs_with_more_tasks(peer):
    for package in peers.REQUIRED[peer]:
        pytest.importorskip(package)
    network = Network(5, input_dim=4, units=5, depth=1, batch_size=6)
    start = keras_steps.make_model("plain", network, "sgd", False).get_weights()
    other = peers.Peer(peer, network, start, "sgd")
    other.step()
    for before, after in zip(start, other.get_weights(), strict=True):
        assert np.all(np.isfinite(after))
        assert np.any(before != after)


def test_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(peers.REQUIRED, "torchjd", ("numpy", "no_such_thing"))
    assert peers.missing("torchjd") == ["no_such_thing"]


def test_import_needs_no_pytorch():
    code = "import sys; sys.modules['torch'] = None; import benchmarks.peers"
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
