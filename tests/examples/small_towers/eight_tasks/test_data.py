"""Made data of a recommendation platform."""

import numpy as np
import pytest

from examples.small_towers.eight_tasks import data


@pytest.fixture(scope="module")
def parts():
    return data.draw({"train": 4000, "test": 2000})


def test_shapes_and_shares(parts):
    for part, size in (("train", 4000), ("test", 2000)):
        x, y = parts[part]
        assert x["user"].shape == x["item"].shape == (size,)
        assert x["context"].shape == (size, data.NUM_CONTEXT)
        assert list(y) == list(data.TASKS)
        for task, share in data.CLASSIFICATION.items():
            assert y[task].shape == (size, 1)
            assert set(np.unique(y[task])) == {0.0, 1.0}
            assert y[task].mean() == pytest.approx(share, abs=2 / size)
        for task in data.REGRESSION:
            assert y[task].mean() == pytest.approx(0, abs=1e-5)
            assert y[task].std() == pytest.approx(1, rel=1e-5)


def test_parts_differ_and_come_again(parts):
    again = data.draw({"train": 4000, "test": 2000})
    for part in parts:
        np.testing.assert_array_equal(
            parts[part][1]["click"], again[part][1]["click"]
        )
    train, test = parts["train"][0], parts["test"][0]
    assert not np.array_equal(train["context"][:2000], test["context"])


def test_tasks_have_something_in_common(parts):
    _, y = parts["train"]
    columns = np.concatenate([y[task] for task in data.TASKS], axis=1)
    correlations = np.abs(np.corrcoef(columns.T) - np.eye(8))
    assert correlations.max() > 0.15


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
