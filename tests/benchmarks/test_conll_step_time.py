import keras
import pytest
from absl import app
from absl import flags
from absl.testing import flagsaver

import keras_mtl
from benchmarks import conll_step_time
from examples.censoring import conll

TINY = conll.Data(None, None, None, 7, {"chunk": 3, "pos": 4})


@pytest.fixture
def tiny(monkeypatch):
    """The program with a network that compiles at once."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["conll_step_time"])
    for name in ("EMBEDDING", "UNITS", "STREAMS", "STEPS"):
        monkeypatch.setattr(conll, name, 2)
    monkeypatch.setattr(conll, "LAYERS", 1)
    monkeypatch.setattr(conll, "Data", lambda *_: TINY)


def test_the_plain_model_is_of_keras(tiny):
    models = {
        name: conll_step_time.make_model(name, TINY, False)
        for name in conll_step_time.LABELS
    }
    assert not isinstance(models["plain"], keras_mtl.MultiTaskModel)
    assert models["none"].aggregator is None
    assert models["1"].aggregator.smoothing == 1.0
    assert models["0.01"].aggregator.smoothing == 0.01
    shapes = [[w.shape for w in m.get_weights()] for m in models.values()]
    assert all(shape == shapes[0] for shape in shapes)
    assert all(m.optimizer.global_clipnorm == 1.0 for m in models.values())


@pytest.mark.slow
def test_prints_a_table(tiny, capsys, monkeypatch):
    monkeypatch.delitem(conll_step_time.LABELS, "none")
    monkeypatch.delitem(conll_step_time.LABELS, "1")
    with flagsaver.flagsaver(conll_rounds=1):
        conll_step_time.main(["conll_step_time"])
    out = capsys.readouterr().out
    assert "date: " in out and f"backend: {keras.backend.backend()}" in out
    for label in conll_step_time.LABELS.values():
        assert out.count(f"| {label} ") == 1


def test_unknown_arguments(tiny):
    with pytest.raises(app.UsageError, match="Unknown arguments"):
        conll_step_time.main(["conll_step_time", "more"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
