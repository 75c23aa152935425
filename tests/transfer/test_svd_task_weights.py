"""Task weights from the SVD: algebra, and what they are for."""

import numpy as np
import pytest

from keras_mtl.transfer import svd_task_weights

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
LABELS = {name: RNG.normal(size=60) for name in "abc"}


def thetas(labels=LABELS):
    return np.stack([X.T @ values for values in labels.values()], axis=1)


def test_full_rank_is_the_norm_of_theta():
    norms = np.linalg.norm(thetas(), axis=0)
    weights = svd_task_weights(X, LABELS, rank=3)
    assert list(weights) == ["a", "b", "c"]
    np.testing.assert_allclose(list(weights.values()), norms / norms.mean())


@pytest.mark.parametrize("rank", [1, 2])
def test_squares_are_those_of_the_largest_singular_values(rank):
    weights = np.array(list(svd_task_weights(X, LABELS, rank).values()))
    # The directions of an eigenproblem, not of an SVD.
    values, vectors = np.linalg.eigh(thetas() @ thetas().T)
    top = vectors[:, -rank:]
    expected = np.linalg.norm(thetas().T @ top, axis=1)
    np.testing.assert_allclose(weights, expected / expected.mean())
    assert np.isclose((expected**2).sum(), values[-rank:].sum())


def test_golden():
    eye = np.eye(2)
    labels = {"a": eye[:, 0], "b": eye[:, 0], "c": eye[:, 1] / 2}
    weights = svd_task_weights(eye, labels)
    np.testing.assert_allclose(list(weights.values()), [1.5, 1.5, 0])


def test_random_labels_lose_weight():
    """Two tasks of one direction, a fifth of the labels of one random."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 20))
    clean = np.sign(x @ rng.normal(size=20))
    random = rng.choice([-1.0, 1.0], size=5000)
    noisy = np.where(rng.random(5000) < 0.2, random, clean)
    two = svd_task_weights(x, {"clean": clean, "noisy": noisy})
    assert two["clean"] == pytest.approx(1.1, abs=0.03)
    three = svd_task_weights(x, {"a": clean, "b": clean, "noise": random})
    assert three["noise"] < 0.1 and three["a"] == three["b"] > 1.4


def test_center_takes_the_place_of_a_bias():
    shifted = {name: values + 7 for name, values in LABELS.items()}
    np.testing.assert_allclose(
        list(svd_task_weights(X, shifted, center=True).values()),
        list(svd_task_weights(X, LABELS, center=True).values()),
    )
    centred = {name: values - values.mean() for name, values in LABELS.items()}
    np.testing.assert_allclose(
        list(svd_task_weights(X, LABELS, center=True).values()),
        list(svd_task_weights(X, centred).values()),
    )


def test_several_columns_are_one_task():
    """With all directions: the root of the sum of squares."""
    both = {"ab": np.stack([LABELS["a"], LABELS["b"]], 1), "c": LABELS["c"]}
    weights = svd_task_weights(X, both, rank=3)
    squares = (thetas() ** 2).sum(axis=0)
    expected = np.sqrt([squares[0] + squares[1], squares[2]])
    np.testing.assert_allclose(
        list(weights.values()), expected / expected.mean()
    )


def test_further_axes_are_flattened():
    images = X.reshape(60, 5, 1)
    columns = {name: values[:, None] for name, values in LABELS.items()}
    assert svd_task_weights(images, columns) == svd_task_weights(X, LABELS)


@pytest.mark.parametrize("rank", [0, 4, 1.5, None])
def test_bad_rank(rank):
    with pytest.raises(ValueError, match="`rank` must be an integer from 1 to"):
        svd_task_weights(X, LABELS, rank)


@pytest.mark.parametrize(
    "features, labels, message",
    [
        (X, [1.0], "`labels` must be a dict"),
        (X, {}, "`labels` must be a dict"),
        (X, {"a": np.ones(3)}, r"`labels\['a'\]` must have an entry for each"),
        (X, {"a": np.full(60, np.nan)}, "without NaN"),
        (X * np.inf, LABELS, "`features` must be"),
        (X, {"a": np.zeros(60)}, "orthogonal to all `features`"),
    ],
)
def test_bad_data(features, labels, message):
    with pytest.raises(ValueError, match=message):
        svd_task_weights(features, labels)


def test_bad_center():
    with pytest.raises(ValueError, match="`center`.*True or False.*'no'"):
        svd_task_weights(X, LABELS, center="no")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
