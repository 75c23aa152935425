import keras
import numpy as np
import pytest

from keras_mtl.datasets import load_clinc
from keras_mtl.datasets import load_trec
from keras_mtl.datasets.tfds_arrays import load_arrays
from keras_mtl.datasets.token_ids import tokens

LOADERS = {
    "clinc": (load_clinc, {"intent": 150, "domain": 10}),
    "trec": (load_trec, {"coarse": 6, "fine": 47}),
}


@pytest.fixture(params=LOADERS)
def loaded(request, tfds_data_dir):
    load, num_classes = LOADERS[request.param]
    return load(limit=200, data_dir=tfds_data_dir), num_classes


def parts(data):
    return data.train, data.validation, data.test


class TestBoth:
    def test_arrays(self, loaded):
        data, num_classes = loaded
        assert data.num_classes == num_classes
        for x, y in parts(data):
            assert x.dtype == np.int32
            assert x.shape[1] == data.train[0].shape[1]
            assert x.max() < len(data.vocabulary)
            assert set(y) == set(num_classes)
            for task, labels in y.items():
                assert labels.shape == (len(x),)
                assert labels.dtype == np.int32
                assert labels.min() >= 0
                assert labels.max() < num_classes[task]

    def test_padding_is_at_the_end_alone(self, loaded):
        data, _ = loaded
        for x, _ in parts(data):
            padded = x == 0
            np.testing.assert_array_equal(padded, np.sort(padded, axis=1))
            assert not padded[:, 0].any()
        assert data.train[0][:, -1].any()  # the longest is not padded

    def test_vocabulary_is_of_the_training_part(self, loaded):
        data, _ = loaded
        used = set(np.unique(data.train[0]))
        assert used == set(range(len(data.vocabulary))) - {1}
        assert (data.test[0] == 1).any()

    def test_a_model_takes_them(self, loaded):
        data, num_classes = loaded
        inputs = keras.Input((None,), dtype="int32")
        x = keras.layers.Embedding(len(data.vocabulary), 4, mask_zero=True)(
            inputs
        )
        x = keras.layers.GlobalAveragePooling1D()(x)
        model = keras.Model(
            inputs,
            {
                task: keras.layers.Dense(count, "softmax", name=task)(x)
                for task, count in num_classes.items()
            },
        )
        model.compile(
            "sgd",
            {task: "sparse_categorical_crossentropy" for task in num_classes},
        )
        history = model.fit(*data.train, verbose=0).history
        assert np.isfinite(history["loss"]).all()


class TestClinc:
    def test_texts_come_back(self, tfds_data_dir):
        data = load_clinc(limit=50, data_dir=tfds_data_dir)
        texts, intents, domains = load_arrays(
            "clinc_oos",
            "train",
            ("text", "intent", "domain"),
            limit=50,
            data_dir=tfds_data_dir,
        )
        x, y = data.train
        for row, text in zip(x, texts):
            words = [data.vocabulary[token] for token in row if token]
            assert words == tokens(text)
        np.testing.assert_array_equal(y["intent"], intents)
        np.testing.assert_array_equal(y["domain"], domains)

    def test_an_intent_belongs_to_one_domain(self, tfds_data_dir):
        data = load_clinc(data_dir=tfds_data_dir)
        domain = {}
        for _, y in parts(data):
            for intent, of_domain in zip(y["intent"], y["domain"]):
                assert domain.setdefault(intent, of_domain) == of_domain
        assert len(set(domain.values())) == 10


class TestTrec:
    def test_every_tenth_question_is_validation(self, tfds_data_dir):
        data = load_trec(limit=95, data_dir=tfds_data_dir)
        (fine,) = load_arrays(
            "trec", "train", ("label-fine",), limit=95, data_dir=tfds_data_dir
        )
        np.testing.assert_array_equal(data.validation[1]["fine"], fine[::10])
        rest = np.delete(fine, np.s_[::10])
        np.testing.assert_array_equal(data.train[1]["fine"], rest)
        assert len(data.test[0]) == 95


class TestOptions:
    def test_max_length_and_min_count(self, tfds_data_dir):
        options = {"limit": 200, "data_dir": tfds_data_dir}
        whole = load_trec(**options)
        data = load_trec(max_length=5, min_count=3, **options)
        for x, _ in parts(data):
            assert x.shape[1] == 5
        assert 2 < len(data.vocabulary) < len(whole.vocabulary)
        counts = np.bincount(whole.train[0].ravel())
        assert len(data.vocabulary) == 2 + np.sum(counts[2:] >= 3)
        kept = whole.train[0][:, :5] < len(data.vocabulary)
        np.testing.assert_array_equal(
            data.train[0], np.where(kept, whole.train[0][:, :5], 1)
        )

    @pytest.mark.parametrize(
        "bad", [{"max_length": 0}, {"min_count": 0}, {"limit": 1}]
    )
    def test_bad_input(self, tfds_data_dir, bad):
        name = next(iter(bad))
        with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}="):
            load_trec(data_dir=tfds_data_dir, **{"limit": 20, **bad})

    def test_no_data(self, tmp_path):
        pytest.importorskip("tensorflow_datasets")
        with pytest.raises(FileNotFoundError, match="'clinc_oos'"):
            load_clinc(data_dir=str(tmp_path), download=False)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
