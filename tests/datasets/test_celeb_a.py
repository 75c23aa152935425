"""CelebA: files as its authors publish them, and the faces for it."""

import zipfile

import numpy as np
import pytest

from keras_mtl.datasets import celeb_a
from keras_mtl.datasets import celeb_a_stand_in
from keras_mtl.datasets import load_celeb_a
from keras_mtl.datasets import tfds_arrays

tfds = pytest.importorskip("tensorflow_datasets")

COUNTS = (6, 4, 5)  # photographs to train, validate and test
# Of the whole photograph number i.
COLORS = [(255 - 10 * i, 12 * i, 100 + 5 * i) for i in range(sum(COUNTS))]
GRAYS = np.array(COLORS) @ [0.2989, 0.587, 0.114] / 255
# x and y in pixels of landmark j of photograph number i.
PLACES = [
    [10 * j + i + k for j in range(5) for k in (0, 50)]
    for i in range(sum(COUNTS))
]


def write_source(folder):
    """The five files that the authors of CelebA publish, with few rows."""
    from PIL import Image

    names = [f"{i:06}.jpg" for i in range(1, sum(COUNTS) + 1)]
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for name, color in zip(names, COLORS):
            Image.new("RGB", (178, 218), color).save(folder / name)
            archive.write(folder / name, f"img_align_celeba/{name}")
    parts = np.repeat([0, 1, 2], COUNTS)
    builder = tfds.builder("celeb_a", data_dir=folder)
    features = builder.info.features
    attributes = list(features["attributes"])
    # Attractive is true of every third; every other attribute is the opposite.
    rows = [
        [1 if (a == "Attractive") == (i % 3 == 0) else -1 for a in attributes]
        for i in range(len(names))
    ]
    landmarks = [f"{n}_{a}" for n in celeb_a.LANDMARKS for a in "xy"]
    assert set(landmarks) == set(features["landmarks"])
    texts = {
        "list_eval_partition": table(names, parts[:, None]),
        "list_attr_celeba": header(attributes, names) + table(names, rows),
        "landmarks_celeba": header(landmarks, names) + table(names, PLACES),
        "identity_celeba": table(names, np.ones((len(names), 1), int)),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {
        "img_align_celeba": folder / "img_align_celeba.zip",
        **{name: folder / name for name in texts},
    }


def header(columns, names):
    return f"{len(names)}\n{' '.join(columns)}\n"


def table(names, rows):
    lines = [" ".join(map(str, [n, *row])) for n, row in zip(names, rows)]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where tensorflow-datasets has prepared the files, as after a download."""
    folder = tmp_path_factory.mktemp("celeb_a")
    source = write_source(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds_arrays, "_reachable", lambda url: True)
        manager = tfds.download.DownloadManager
        patch.setattr(manager, "download", lambda self, urls: source)
        load_celeb_a(examples_per_part=1, data_dir=folder)
    return folder


def parts(data):
    return data.train, data.validation, data.test


def load(data_dir, **arguments):
    return load_celeb_a(data_dir=data_dir, download=False, **arguments)


def test_photographs_and_their_labels(data_dir):
    data = load(data_dir, examples_per_part=4)
    assert not data.stand_in
    seen = []
    for x, y in parts(data):
        assert x.shape == (4, 40, 40, 1) and x.dtype == np.float32
        assert x.std(axis=(1, 2)).max() < 0.01  # each is of one color
        numbers = [int(np.argmin(np.abs(GRAYS - m))) for m in x.mean((1, 2, 3))]
        np.testing.assert_allclose(
            x.mean(axis=(1, 2, 3)), GRAYS[numbers], atol=0.01
        )
        expected = np.array(PLACES)[numbers] / np.tile([178, 218], 5)
        np.testing.assert_allclose(y["landmarks"], expected, rtol=1e-6)
        assert y["landmarks"].dtype == np.float32
        assert y["attribute"].dtype == np.int32
        np.testing.assert_array_equal(
            y["attribute"], [n % 3 == 0 for n in numbers]
        )
        seen.append(numbers)
    ends = np.cumsum((0, *COUNTS))
    for numbers, low, high in zip(seen, ends[:-1], ends[1:]):
        assert len(set(numbers)) == 4
        assert all(low <= number < high for number in numbers)


@pytest.mark.slow
def test_another_attribute(data_dir):
    labels = [
        load(data_dir, examples_per_part=4, attribute=name).test[1]["attribute"]
        for name in ("Attractive", "Smiling")
    ]
    np.testing.assert_array_equal(labels[0], 1 - labels[1])


@pytest.mark.slow
def test_the_seed_chooses_photographs(data_dir):
    def chosen(seed):
        data = load(data_dir, examples_per_part=3, seed=seed)
        return [
            x.mean(axis=(1, 2, 3)).round(3).tolist() for x, _ in parts(data)
        ]

    assert chosen(0) == chosen(0) != chosen(1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"attribute": "Pretty"}, "`attribute` must be one of .*'Attractive'"),
        ({"examples_per_part": 5}, "at most 4, the size of the part 'valid"),
        ({"examples_per_part": 0}, "`examples_per_part` must be"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_arguments(data_dir, arguments, message):
    with pytest.raises(ValueError, match=message):
        load(data_dir, **{"examples_per_part": 1, **arguments})


def test_no_data(tmp_path):
    with pytest.raises(FileNotFoundError, match="'celeb_a' is not in"):
        load(tmp_path)


class TestStandIn:
    @pytest.mark.slow
    def test_has_the_shapes_of_celeb_a(self, data_dir):
        stand_in = celeb_a_stand_in(examples_per_part=4)
        assert stand_in.stand_in
        real = load(data_dir, examples_per_part=4)
        for (x, y), (real_x, real_y) in zip(parts(stand_in), parts(real)):
            assert (x.shape, x.dtype) == (real_x.shape, real_x.dtype)
            assert x.min() >= 0 and x.max() <= 1
            for name in real_y:
                assert y[name].shape == real_y[name].shape
                assert y[name].dtype == real_y[name].dtype

    def test_eyes_are_dark(self):
        x, y = celeb_a_stand_in(examples_per_part=200).train
        places = (y["landmarks"].reshape(-1, 5, 2) * 40).astype(int)
        rows = np.arange(200)
        eye, nose_root = places[:, 0], places[:, :2].mean(axis=1).astype(int)
        between = x[rows, nose_root[:, 1], nose_root[:, 0], 0]
        at_eye = x[rows, eye[:, 1], eye[:, 0], 0]
        assert (between - at_eye).mean() > 0.15

    @pytest.mark.slow
    def test_label_depends_on_the_proportions(self):
        _, y = celeb_a_stand_in(examples_per_part=5000).train
        places = y["landmarks"].reshape(-1, 5, 2)
        eyes = np.linalg.norm(places[:, 1] - places[:, 0], axis=1)
        mouth = np.linalg.norm(places[:, 4] - places[:, 3], axis=1)
        ratio = eyes / mouth
        label = y["attribute"]
        assert 0.4 < label.mean() < 0.6
        low, high = np.quantile(ratio, [0.2, 0.8])
        rise = label[ratio > high].mean() - label[ratio < low].mean()
        assert rise > 0.3

    def test_seed_and_parts(self):
        first, again = (celeb_a_stand_in(examples_per_part=3) for _ in "ab")
        other = celeb_a_stand_in(examples_per_part=3, seed=1)
        np.testing.assert_array_equal(first.train[0], again.train[0])
        assert not np.array_equal(first.train[0], other.train[0])
        assert not np.array_equal(first.train[0], first.test[0])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
