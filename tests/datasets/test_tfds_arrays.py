import io
import sys
import urllib.error

import numpy as np
import pytest

from keras_mtl.datasets import multi_mnist
from keras_mtl.datasets import tfds_arrays
from keras_mtl.datasets.tfds_arrays import load_arrays


@pytest.fixture
def builds(monkeypatch):
    """Records what tensorflow-datasets is asked to download."""
    tfds = pytest.importorskip("tensorflow_datasets")
    asked = []

    def download_and_prepare(self):
        asked.append(self.name)
        raise InterruptedError("far enough")

    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", download_and_prepare
    )
    return asked


class TestLoadArrays:
    def test_reads_a_split(self, tfds_data_dir):
        images, labels = load_arrays(
            "mnist", "test", ("image", "label"), data_dir=tfds_data_dir
        )
        assert images.shape == (len(labels), 28, 28, 1)
        assert images.dtype == np.uint8
        assert set(labels) == set(range(10))

    def test_limit(self, tfds_data_dir):
        read = [
            load_arrays(
                "mnist", "test", ("label",), limit=n, data_dir=tfds_data_dir
            )[0]
            for n in (20, 1_000_000)
        ]
        assert len(read[0]) == 20
        np.testing.assert_array_equal(read[0], read[1][:20])

    def test_no_data_and_no_download(self, tmp_path, builds):
        with pytest.raises(FileNotFoundError) as raised:
            load_arrays(
                "mnist", "train", ("image",), data_dir=tmp_path, download=False
            )
        message = str(raised.value)
        for part in ("'mnist'", str(tmp_path), "download=False"):
            assert part in message
        assert "TFDS_DATA_DIR" in message
        assert not builds

    def test_no_data_and_no_network(self, tmp_path, builds, monkeypatch):
        monkeypatch.setattr(tfds_arrays, "_reachable", lambda url: False)
        with pytest.raises(FileNotFoundError, match="cannot be reached"):
            multi_mnist(data_dir=tmp_path)
        assert not builds

    def test_downloads_where_there_is_a_network(
        self, tmp_path, builds, monkeypatch
    ):
        monkeypatch.setattr(tfds_arrays, "_reachable", lambda url: True)
        with pytest.raises(InterruptedError):
            load_arrays("mnist", "train", ("image",), data_dir=tmp_path)
        assert builds == ["mnist"]

    def test_without_tensorflow_datasets(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
        with pytest.raises(ImportError, match="pip install tensorflow-d"):
            load_arrays("mnist", "train", ("image",))


class TestReachable:
    def answer(self, monkeypatch, result):
        def urlopen(request, timeout):
            assert request.get_method() == "HEAD"
            assert timeout <= 10
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr("urllib.request.urlopen", urlopen)
        return tfds_arrays._reachable("https://example.org/data")

    def test_an_answer(self, monkeypatch):
        assert self.answer(monkeypatch, io.BytesIO())

    @pytest.mark.parametrize(
        "error", [urllib.error.URLError("no route"), TimeoutError()]
    )
    def test_no_answer(self, monkeypatch, error):
        assert not self.answer(monkeypatch, error)

    @pytest.mark.parametrize(
        ("code", "reachable"), [(405, True), (403, False), (502, False)]
    )
    def test_refusals(self, monkeypatch, code, reachable):
        error = urllib.error.HTTPError("", code, "", {}, None)
        assert self.answer(monkeypatch, error) == reachable


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
