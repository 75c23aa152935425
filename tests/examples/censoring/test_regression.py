"""The synthetic regression: the author's data, and runs of it."""

import numpy as np
import pytest

from examples.censoring import regression
from examples.censoring.methods import Setting


@pytest.fixture
def small(monkeypatch):
    """Fewer examples, and a few epochs."""
    data = regression.make_data()

    def some(pair, count):
        return tuple(array[:count] for array in pair)

    few = regression.Data(
        some(data.main, 200),
        {task: some(pair, 200) for task, pair in data.auxiliary.items()},
        some(data.validation, 100),
        some(data.test, 500),
    )
    monkeypatch.setattr(regression, "make_data", lambda: few)
    monkeypatch.setattr(regression, "EPOCHS", 3)
    regression.make_model.cache_clear()
    yield few
    regression.make_model.cache_clear()


class TestData:
    def test_is_the_authors(self):
        data = regression.make_data()
        x, y = data.test
        constant = data.main[1].mean(axis=0)
        # What predicting the mean gives, with his draws and no others.
        np.testing.assert_allclose(
            np.mean((y - constant) ** 2), 0.5410, atol=5e-5
        )
        assert x.shape == (10000, 250) and 0 <= x.min() < x.max() <= 1

    def test_ridge_regression(self):
        data = regression.make_data()
        x, y = data.main
        gram = x.T @ x + 10 * np.eye(250)
        matrix = np.linalg.solve(gram, x.T @ (y - y.mean(axis=0)))
        offset = y.mean(axis=0) - x.mean(axis=0) @ matrix
        error = np.mean((data.test[0] @ matrix + offset - data.test[1]) ** 2)
        np.testing.assert_allclose(error, 0.305, atol=0.02)

    def test_tasks_differ_as_they_should(self):
        data = regression.make_data()
        x, same = data.auxiliary["same"]
        far = {}
        for task, (inputs, targets) in data.auxiliary.items():
            np.testing.assert_array_equal(inputs, x)
            far[task] = np.mean((targets - same) ** 2)
        assert far["same"] == 0 < far["similar"] < 0.5 < far["unrelated"]


def test_batches_shuffle_the_tasks_apart():
    data = regression.make_data()
    batches = regression.Batches(data, "similar", seed=0)
    assert len(batches) == 10
    x, y = batches[3]
    for name, (inputs, targets) in {
        "main": data.main,
        "auxiliary": data.auxiliary["similar"],
    }.items():
        rows = batches.order[name][300:400]
        np.testing.assert_array_equal(x[name], inputs[rows])
        np.testing.assert_array_equal(y[name], targets[rows])
    assert (batches.order["main"] != batches.order["auxiliary"]).any()
    before = batches.order["main"]
    batches.on_epoch_end()
    assert (before != batches.order["main"]).any()
    again = regression.Batches(data, "similar", seed=0)
    np.testing.assert_array_equal(again.order["main"], before)


@pytest.mark.slow
def test_runs_of_a_seed_start_alike_and_repeat(small):
    setting = Setting("projection", 1.0, "model", 0.1)
    cell = regression.Cell(setting, "same", 0)
    first = regression.run(cell)
    regression.run(regression.Cell(setting, "unrelated", 1))
    assert regression.run(cell)["test_loss"] == pytest.approx(
        first["test_loss"], rel=1e-4
    )
    assert first["epochs"] == 3
    assert np.isfinite(first["val_loss"])


def test_cells():
    single, other = Setting("single_task"), Setting("projection", 3.0)
    cells = regression.cells([single, other], ["same", "similar"], [5, 6])
    assert len(cells) == len(set(cells)) == 2 + 2 * 2
    assert cells[0] == regression.Cell(single, "", 5)
    assert cells[-1] == regression.Cell(other, "similar", 6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
