"""Faces, on a few drawings that stand in for CelebA."""

import numpy as np
import pytest
from absl import app

from examples.censoring import celeba
from examples.censoring.methods import Setting
from keras_mtl.datasets import CelebA


@pytest.fixture
def short(monkeypatch):
    """Two short epochs."""
    monkeypatch.setattr(celeba, "EPOCHS", 2)
    monkeypatch.setattr(celeba, "BATCH_SIZE", 20)


def test_network_is_that_of_the_paper():
    model = celeba.make_network()
    assert model.count_params() == 78_347
    assert [layer.shape[1:] for layer in model.outputs] == [(1,), (10,)]


def test_rule_of_a_setting():
    setting = Setting("projection", 300.0, "variable", 0.01)
    model = celeba.make_model(setting).model
    assert model.aggregator.main_task == "attribute"
    assert model.aggregator.initial_reference == "first_gradient"
    weights = model.get_compile_config()["loss_weights"]
    assert weights == {"attribute": 1.0, "landmarks": 300.0}


@pytest.mark.slow
def test_a_run_repeats_and_says_that_it_is_a_stand_in(short, capsys):
    celeba.make_data.cache_clear()
    cell = celeba.Cell(Setting("projection", 300.0, "variable"), 0)
    found, again = (celeba.run(cell, True, 60) for _ in "ab")
    assert capsys.readouterr().out.count("STAND-IN") == 1
    assert found == pytest.approx(again, rel=1e-3)
    assert found["epochs"] == 2
    assert 0 <= found["test_auc"] <= 1


def test_area_under_the_curve():
    class Model:
        def predict(self, x, **_):
            return {"attribute": x}

    labels = np.array([0, 0, 1, 1])
    scores = np.array([[0.1], [0.6], [0.4], [0.9]])
    # Three of the four pairs are in order.
    assert celeba.auc(Model(), scores, labels) == 0.75


def test_a_run_that_diverged_has_no_area():
    class Model:
        def predict(self, x, **kwargs):
            return {"attribute": np.full((2, 1), np.nan)}

    assert np.isnan(celeba.auc(Model(), np.zeros(2), np.array([0, 1])))


def test_data_that_cannot_be_had_point_to_the_stand_in(monkeypatch):
    def fail(**kwargs):
        raise FileNotFoundError("No CelebA.")

    monkeypatch.setattr(celeba.keras_mtl.datasets, "load_celeb_a", fail)
    celeba.make_data.cache_clear()
    with pytest.raises(app.UsageError, match="No CelebA. Or try --stand_in"):
        celeba.make_data(False, 50)


@pytest.mark.slow
def test_learns_what_can_be_seen(monkeypatch):
    """A light face is attractive, and all landmarks are in the middle."""
    labels = np.arange(200) % 2
    noise = np.random.default_rng(0).uniform(0, 0.1, (200, 40, 40, 1))
    x = (noise + 0.5 * labels[:, None, None, None]).astype("float32")
    y = {"attribute": labels, "landmarks": np.full((200, 10), 0.5)}
    data = CelebA((x, y), (x, y), (x, y), stand_in=False)
    monkeypatch.setattr(celeba, "make_data", lambda *_: data)
    monkeypatch.setattr(celeba, "EPOCHS", 8)
    monkeypatch.setattr(celeba, "BATCH_SIZE", 20)
    found = celeba.run(celeba.Cell(Setting("multi_task", 300.0), 1))
    assert found["test_auc"] > 0.99
    assert found["val_auc"] == found["test_auc"]


@pytest.mark.parametrize(
    "stand_in, examples_per_part, name",
    [
        (False, 10_000, "celeba"),
        (True, 10_000, "celeba_stand_in"),
        (True, 20, "celeba_stand_in-limit20"),
    ],
)
def test_results_are_kept_apart(stand_in, examples_per_part, name):
    assert celeba.experiment(stand_in, examples_per_part) == name


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
