import json

import keras
import numpy as np
import pytest
from absl import app
from absl import flags
from absl.testing import flagsaver

from benchmarks import expert_networks
from benchmarks import experts_time
from benchmarks.expert_networks import Experts
from benchmarks.expert_networks import available
from benchmarks.expert_networks import make_model
from benchmarks.expert_networks import sizes
from benchmarks.network import Network

TINY = Network(2, input_dim=3, head_units=4, batch_size=5)
MMOE = Experts(num_shared=3, units=(4, 2))
PLE = Experts(num_shared=2, num_task=1, units=(4, 2), num_levels=2)
OTHERS = [name for name in expert_networks.IMPLEMENTATIONS if name != "plain"]


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize("experts", [MMOE, PLE], ids=["mmoe", "ple"])
@pytest.mark.parametrize("name", OTHERS)
def test_networks_are_of_one_size(name, experts):
    if not available(name):
        pytest.skip(f"{name} cannot run here")
    plain, other = (make_model(n, TINY, experts) for n in ("plain", name))
    assert trainable(plain) == trainable(other)
    x, y = TINY.batch()
    for model in (plain, other):
        outputs = model(x)
        assert {t: o.shape for t, o in outputs.items()} == {
            task: label.shape for task, label in y.items()
        }


def numbered(model: keras.Model) -> list[keras.layers.Layer]:
    """Dense layers that Keras named, in the order in which they were made."""
    layers = [x for x in model.layers if x.name.startswith("dense")]
    # The first one has no number.
    return sorted(layers, key=lambda x: int(x.name[len("dense_") :] or 0))


@pytest.mark.parametrize("experts", [MMOE, PLE], ids=["mmoe", "ple"])
def test_plain_network_computes_what_ours_does(experts):
    plain = make_model("plain", TINY, experts)
    ours = make_model("keras_mtl", TINY, experts)
    (mixing,) = (x for x in ours.layers if hasattr(x, "sharing_matrices"))
    sources = []
    for level in getattr(mixing, "levels", [mixing]):
        for group in level.expert_groups.values():
            sources += [dense for expert in group for dense in expert.layers]
        sources += level.gates
    sources += numbered(ours)
    for target, source in zip(numbered(plain), sources, strict=True):
        target.set_weights(source.get_weights())
    for task in TINY.tasks:
        plain.get_layer(task).set_weights(ours.get_layer(task).get_weights())
    x, _ = TINY.batch()
    expected = ours(x)
    for task, found in plain(x).items():
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(found),
            keras.ops.convert_to_numpy(expected[task]),
            atol=1e-6,
        )


def test_sizes():
    assert sizes("mmoe", 4, 8) == Experts(8)
    assert sizes("ple", 2, 8) == Experts(4, 2, num_levels=2)
    assert sizes("ple", 4, 8) == Experts(4, 1, num_levels=2)
    assert sizes("ple", 9, 8) == Experts(1, 1, num_levels=2)


@pytest.fixture
def tiny(monkeypatch):
    """The program with networks that compile at once."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["experts_time"])
    monkeypatch.setattr(experts_time, "Network", lambda tasks: TINY)
    monkeypatch.setattr(expert_networks, "sizes", lambda *_: MMOE)
    monkeypatch.setattr(
        expert_networks, "available", lambda name: name != "deepctr"
    )


@pytest.mark.slow
def test_the_program_prints_and_writes_each_table(tiny, capsys, tmp_path):
    path = tmp_path / "new" / "results.json"
    with flagsaver.flagsaver(
        architecture=["mmoe"],
        expert_tasks=[2],
        expert_rounds=2,
        compiler=["graph"],
        expert_output=str(path),
    ):
        experts_time.main(["experts_time"])
    out = capsys.readouterr().out
    compiler = "xla" if keras.backend.backend() == "jax" else "graph"
    title = f"MMoE, 2 tasks, {compiler}"
    assert "date: " in out and title in out
    assert out.count("| plain Keras layers ") == out.count("| keras_mtl ") == 1
    report = json.loads(path.read_text())
    assert report["tables"][title]["plain"]["ratio"] == 1.0
    assert report["tables"][title]["keras_mtl"]["milliseconds"] > 0


def test_unknown_arguments(tiny):
    with pytest.raises(app.UsageError, match="Unknown arguments"):
        experts_time.main(["experts_time", "more"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
