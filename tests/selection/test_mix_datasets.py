import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtl
from keras_mtl.selection import mix_datasets
from keras_mtl.selection import ratio_sequence

NAN = float("nan")
X = np.arange(8, dtype="float32")[:, None]
DATA = {"main": (X, X + 100), "tags": (X - 50, X), "noise": (X, X)}


def tasks_of(dataset, count):
    """Of each batch the one task that it has labels for."""
    found = []
    for _, y in dataset.take(count).as_numpy_iterator():
        (task,) = [t for t in y if not np.isnan(y[t]).any()]
        assert all(np.isnan(y[t]).all() for t in y if t != task)
        found.append(task)
    return found


class TestRatioSequence:
    @pytest.mark.parametrize(
        "ratios, sequence",
        [
            ([2, 1, 0], [0, 0, 1]),
            ([0, 3], [1, 1, 1]),
            (np.array([1, 1, 1]), [0, 1, 2]),
            ((2, 2), [0, 0, 1, 1]),
        ],
    )
    def test_flattens(self, ratios, sequence):
        assert ratio_sequence(ratios) == sequence

    @pytest.mark.parametrize(
        "ratios", [[], [0, 0], [-1, 2], [0.5, 1], "21", 3, None, [True, 1]]
    )
    def test_refuses(self, ratios):
        with pytest.raises(ValueError, match="`ratios` must.*Received"):
            ratio_sequence(ratios)


class TestMixDatasets:
    @pytest.mark.parametrize(
        "ratios", [[2, 1, 0], {"tags": 1, "main": 2}, np.array([2, 1, 0])]
    )
    def test_cycles(self, ratios):
        mixed = mix_datasets(DATA, ratios, batch_size=2)
        assert tasks_of(mixed, 7) == ["main", "main", "tags"] * 2 + ["main"]
        assert list(mixed.element_spec[1]) == ["main", "tags", "noise"]

    def test_each_task_has_passes_of_its_own(self):
        mixed = mix_datasets(DATA, [2, 1, 0], batch_size=2, seed=0)
        batches = list(mixed.take(12).as_numpy_iterator())
        main = np.concatenate(
            [x[:, 0] for x, y in batches if not np.isnan(y["main"]).any()]
        )
        tags = np.concatenate(
            [x[:, 0] for x, y in batches if not np.isnan(y["tags"]).any()]
        )
        np.testing.assert_array_equal(np.sort(main[:8]), X[:, 0])
        np.testing.assert_array_equal(np.sort(main[8:]), X[:, 0])
        np.testing.assert_array_equal(np.sort(tags), X[:, 0] - 50)
        assert not np.array_equal(main[:8], main[8:])

    def test_labels_go_with_their_inputs(self):
        mixed = mix_datasets(DATA, [1, 1, 1], batch_size=3)
        for x, y in mixed.take(6).as_numpy_iterator():
            differences = {
                "main": y["main"] - x,
                "tags": y["tags"] - x,
                "noise": y["noise"] - x,
            }
            for task, offset in (("main", 100), ("tags", 50), ("noise", 0)):
                d = differences[task]
                assert np.isnan(d).all() or np.all(d == offset)

    def test_other_kinds_of_data(self):
        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 2

            def __getitem__(self, index):
                return X[:4] + index, X[:4]

        data = {
            "main": tf.data.Dataset.from_tensor_slices(DATA["main"]).batch(3),
            "tags": Batches(),
        }
        mixed = mix_datasets(data, [1, 2])
        assert tasks_of(mixed, 4) == ["main", "tags", "tags", "main"]
        sizes = [len(x) for x, _ in mixed.take(7).as_numpy_iterator()]
        assert sizes == [3, 4, 4, 3, 4, 4, 2]

    def test_seed(self):
        def first(seed):
            mixed = mix_datasets(DATA, [1, 0, 0], batch_size=8, seed=seed)
            return next(mixed.as_numpy_iterator())[0].tolist()

        assert first(1) == first(1) != first(2)

    @pytest.mark.slow
    def test_trains_in_the_mix(self):
        inputs = keras.Input((1,))
        shared = keras.layers.Dense(2)(inputs)
        model = keras_mtl.MultiTaskModel(
            inputs, {t: keras.layers.Dense(1, name=t)(shared) for t in DATA}
        )
        model.compile(
            keras.optimizers.SGD(1e-4),
            loss={t: "mse" for t in DATA},
            missing_label=NAN,
        )
        untrained = model.get_layer("noise").get_weights()
        mixed = mix_datasets(DATA, {"main": 2, "tags": 1}, batch_size=4)
        logs = model.fit(mixed, steps_per_epoch=6, verbose=0).history
        assert logs["main_loss"][0] > 0 and logs["tags_loss"][0] > 0
        assert logs["noise_loss"] == [0]
        for left, right in zip(
            untrained, model.get_layer("noise").get_weights(), strict=True
        ):
            np.testing.assert_array_equal(left, right)

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match="`ratios`.*each of the tasks"):
            mix_datasets(DATA, [1, 2], batch_size=2)
        with pytest.raises(
            ValueError, match=r"`ratios` has entries \['other'\]"
        ):
            mix_datasets(DATA, {"other": 1}, batch_size=2)
        with pytest.raises(ValueError, match="`data` must be a dict"):
            mix_datasets([DATA["main"]], [1], batch_size=2)
        with pytest.raises(ValueError, match="inputs x of all tasks"):
            mix_datasets({**DATA, "tags": (X[:, 0], X)}, [1, 1, 1], 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
