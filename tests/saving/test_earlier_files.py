"""Models that were saved before state had names of its own.

The files of `files/` were made by the last commit whose methods found their
state in attributes: two epochs of training, and beside each what it predicted,
what it remembered, and both after one more step.
"""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.tiers import slow_except

pytestmark = pytest.mark.backend

FILES = Path(__file__).with_name("files")
# By file, what must be found in it.
STATE = {
    "mo_co": ["mo_co.averages.5", "mo_co.weight_steps", "grad_norm.first"],
    "grad_vac": ["grad_vac.seed_generator", "grad_vac.targets", "famo.logits"],
    "pcd": ["pcd.squares", "pcd.steps", "uncertainty.log_variance"],
    "projection": ["projection.reference.5", "projection.started"],
    "db_mtl": ["dbmtl.averages.0", "dynamic_weight_average.ratio"],
    "crmogm": ["crmogm.aggregator.targets", "crmogm.averages", "olaux.gains"],
    "excess_mtl": ["excess_mtl.squares.0", "excess_mtl.log", "imtll.scale"],
    "sdm_grad": ["sdmgrad.previous.0", "sdmgrad.task_weights", "schedule.step"],
}


def make_data():
    x = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
    return x, {"a": x[:, :1], "b": x.sum(1, keepdims=True)}


def remembered(model):
    store = {}
    model.method_state.save_own_variables(store)
    return store


def part(archive, name):
    length = len(name) + 1
    return {
        key[length:]: archive[key]
        for key in archive.files
        if key.startswith(f"{name}/")
    }


@pytest.mark.parametrize("name", slow_except(STATE, "mo_co", "pcd"))
def test_they_load_and_go_on(name):
    archive = np.load(FILES / f"{name}.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = keras.saving.load_model(FILES / f"{name}.keras")
    x, y = make_data()
    for task, outputs in part(archive, "outputs").items():
        found = model.predict(x, verbose=0)[task]
        np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-6)
    state = part(archive, "state")
    found = remembered(model)
    assert list(found.keys() ^ state.keys()) == []
    for wanted in STATE[name]:
        assert any(wanted in key for key in found)
    for key, value in state.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)
    y = {task: labels[:8] for task, labels in y.items()}
    model.train_on_batch(x[:8], y)
    found = remembered(model)
    for key, value in part(archive, "next").items():
        np.testing.assert_allclose(
            found[key], value, rtol=1e-3, atol=1e-6, err_msg=key
        )
    weights = part(archive, "weights")
    for index, value in enumerate(model.get_weights()):
        np.testing.assert_allclose(
            value, weights[str(index)], rtol=1e-3, atol=1e-6
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
