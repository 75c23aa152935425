import sys

import numpy as np
import pytest

from keras_mtl.datasets import multi_mnist
from keras_mtl.datasets.multi_mnist import compose
from keras_mtl.datasets.multi_mnist import pair_images

LIMIT = 300


def constant_images(*values):
    return np.stack([np.full((28, 28), value, "uint8") for value in values])


def numbered_images(count):
    """Images that carry their index in one corner pixel, two bytes of it."""
    images = np.zeros((count, 28, 28), "uint8")
    images[:, 0, 0] = 1 + np.arange(count) // 200
    images[:, 0, 1] = 1 + np.arange(count) % 200
    return images


def indices(x, corner):
    high = x[:, corner, corner, 0].astype(int) - 1
    return 200 * high + x[:, corner, corner + 1, 0] - 1


def in_turn(count):
    return np.arange(count) % 10


class TestCompose:
    def test_exact_pixels_of_two_constant_images(self):
        x = compose(constant_images(100, 200), np.array([0]), np.array([1]))
        expected = np.zeros((36, 36), "uint8")
        expected[2:30, 2:30] = 100
        expected[6:34, 6:34] = 200
        assert x.shape == (1, 36, 36, 1)
        assert x.dtype == np.uint8
        np.testing.assert_array_equal(x[0, :, :, 0], expected)

    def test_the_brighter_pixel_wins_whichever_is_on_top(self):
        images = constant_images(100, 200)
        x = compose(images, np.array([1]), np.array([0]))
        assert np.all(x[0, 6:30, 6:30] == 200)
        assert np.all(x[0, 30:34, 30:34] == 100)

    @pytest.mark.parametrize(
        ("second", "overlap"), [(50, 150), (155, 255), (200, 255)]
    )
    def test_add_clip_saturates(self, second, overlap):
        x = compose(
            constant_images(100, second),
            np.array([0]),
            np.array([1]),
            combine="add_clip",
        )
        assert np.all(x[0, 6:30, 6:30] == overlap)
        assert np.all(x[0, 2:6, 2:30] == 100)
        assert np.all(x[0, 30:34, 6:34] == second)

    @pytest.mark.parametrize("jitter", [1, 2])
    def test_jitter_moves_both_images_within_the_canvas(self, jitter):
        images = constant_images(0, 200)
        rng = np.random.default_rng(0)
        some = np.zeros(200, int)
        # One image is black, so that the bounds of the other can be seen.
        for left, right, corner in ((some + 1, some, 2), (some, some + 1, 6)):
            x = compose(images, left, right, jitter=jitter, rng=rng)
            assert np.all((x > 0).sum(axis=(1, 2, 3)) == 28 * 28)
            tops = (x[..., 0] > 0).any(axis=2).argmax(axis=1)
            sides = (x[..., 0] > 0).any(axis=1).argmax(axis=1)
            for starts in (tops, sides):
                moves = np.arange(corner - jitter, corner + jitter + 1)
                assert set(starts) == set(moves)
            assert len(set(zip(tops, sides))) == len(moves) ** 2

    @pytest.mark.parametrize(
        "wrong", [{"combine": "mean"}, {"jitter": 3}, {"jitter": -1}]
    )
    def test_names_a_wrong_argument(self, wrong):
        (name, value) = next(iter(wrong.items()))
        with pytest.raises(ValueError, match=f"`{name}`.*{name}={value!r}"):
            compose(constant_images(1), np.array([0]), np.array([0]), **wrong)


class TestPairImages:
    def test_every_image_is_as_often_left_as_right(self):
        x, y = pair_images(
            numbered_images(600), in_turn(600), pairs_per_image=3
        )
        assert len(x) == 1800
        for corner, task in ((2, "left"), (6, "right")):
            used = indices(x, corner)
            np.testing.assert_array_equal(np.bincount(used), [3] * 600)
            np.testing.assert_array_equal(y[task], in_turn(600)[used])
            assert y[task].dtype == np.int32

    @pytest.mark.parametrize(
        "counts",
        [
            [20] * 10,
            # One class holds half of the images: as hard as it gets.
            [100, 60, 40],
            [100, 100],
            [1, 1],
        ],
    )
    def test_labels_are_distinct(self, counts):
        labels = np.repeat(np.arange(len(counts)), counts)
        x, y = pair_images(numbered_images(len(labels)), labels)
        assert np.all(y["left"] != y["right"])
        for corner in (2, 6):
            assert np.all(np.bincount(indices(x, corner)) == 2)

    def test_labels_can_be_equal(self):
        _, y = pair_images(
            numbered_images(200), in_turn(200), distinct_labels=False
        )
        assert np.any(y["left"] == y["right"])

    def test_seed_decides(self):
        images = numbered_images(100)
        first, again, other = (
            pair_images(images, in_turn(100), seed=seed)[0]
            for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_a_class_of_more_than_half(self):
        labels = np.repeat([0, 1], [3, 1])
        with pytest.raises(ValueError, match=r"`distinct_labels.*\[3, 1\]"):
            pair_images(numbered_images(4), labels)

    def test_no_pairs(self):
        with pytest.raises(ValueError, match="`pairs_per_image`.*=0"):
            pair_images(numbered_images(4), in_turn(4), pairs_per_image=0)


class TestMultiMnist:
    @pytest.mark.parametrize("source", ["mnist", "fashion_mnist"])
    def test_real_images(self, source, tfds_data_dir):
        data = multi_mnist(source, limit=LIMIT, data_dir=tfds_data_dir)
        sizes = {part: len(x) for part, (x, _) in data.items()}
        assert sizes == {"train": 500, "validation": 100, "test": 600}
        for x, y in data.values():
            assert x.shape[1:] == (36, 36, 1)
            assert x.dtype == np.uint8
            assert x.max() > 200
            assert list(y) == ["left", "right"]
            assert set(y["left"]) | set(y["right"]) == set(range(10))
            assert np.all(y["left"] != y["right"])
        # Nothing is drawn on the border.
        border = data["train"][0].copy()
        border[:, 2:34, 2:34] = 0
        assert border.max() == 0

    def test_validation_shares_no_image_with_training(self, monkeypatch):
        def numbered(name, split, keys, **_):
            return [numbered_images(600)[..., None], in_turn(600)]

        # The function hides its module, which has the same name.
        module = sys.modules[multi_mnist.__module__]
        monkeypatch.setattr(module, "load_arrays", numbered)
        data = multi_mnist()
        used = {
            part: {*indices(x, 2), *indices(x, 6)}
            for part, (x, _) in data.items()
        }
        assert used["validation"] == set(range(0, 600, 6))
        assert used["train"] == set(range(600)) - used["validation"]
        assert used["test"] == set(range(600))

    def test_every_option_changes_the_data(self, tfds_data_dir):
        def digest(**options):
            data = multi_mnist(limit=60, data_dir=tfds_data_dir, **options)
            return data["train"][0].tobytes()

        digests = {
            digest(),
            digest(combine="add_clip"),
            digest(jitter=2),
            digest(seed=1),
            digest(source="fashion_mnist"),
            digest(pairs_per_image=1),
            digest(distinct_labels=False),
        }
        assert len(digests) == 7
        assert digest() in digests

    @pytest.mark.parametrize("wrong", [{"source": "letters"}, {"limit": 6}])
    def test_names_a_wrong_argument(self, wrong):
        (name, value) = next(iter(wrong.items()))
        with pytest.raises(ValueError, match=f"`{name}`.*{name}={value!r}"):
            multi_mnist(**wrong)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
