import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.selection.task_data import make_task_data

X = np.arange(10, dtype="float32")[:, None]
Y = np.arange(10, dtype="int32")


class Numbered(keras.utils.PyDataset):
    """Batches of their number, and of how many passes are over."""

    def __init__(self):
        super().__init__()
        self.passes = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return np.full((2, 1), index, "float64"), np.full(2, self.passes)

    def on_epoch_end(self):
        self.passes += 1


def arrays(**kwargs):
    return make_task_data("t", (X, Y), **{"batch_size": 4, "seed": 0, **kwargs})


def labels(batches):
    return [y.tolist() for _, y in batches]


class TestArrays:
    def test_each_pass_has_every_example_once(self):
        seen = np.concatenate(labels(arrays().read(0, 10)))
        assert len(seen) == 40
        for start in range(0, 40, 10):
            assert sorted(seen[start : start + 10]) == list(range(10))
        assert seen[:10].tolist() != seen[10:20].tolist()
        assert seen[:10].tolist() != list(range(10))

    def test_inputs_keep_their_labels(self):
        for x, y in arrays().read(0, 5):
            np.testing.assert_array_equal(x[:, 0], y)

    def test_any_batch_by_its_number(self):
        whole = labels(arrays().read(0, 12))
        assert labels(arrays().read(5, 7)) == whole[5:]
        assert labels(arrays().read(0, 12)) == whole
        assert labels(arrays(seed=1).read(0, 12)) != whole

    def test_batches_larger_than_the_data(self):
        (batch,) = labels(arrays(batch_size=25).read(0, 1))
        assert sorted(batch) == sorted([*range(10), *range(10), *batch[20:]])
        assert len(set(batch[20:])) == 5

    def test_nested_inputs_and_python_floats(self):
        data = make_task_data(
            "t", ({"a": X, "b": X.astype("float64")}, Y), 4, 0
        )
        (x, _) = next(data.read(0, 1))
        assert {name: a.dtype for name, a in x.items()} == {
            "a": "float32",
            "b": "float32",
        }
        assert data.spec[0]["b"] == tf.TensorSpec((None, 1), tf.float32)

    def test_as_a_dataset(self):
        batches = list(arrays().to_dataset().take(5).as_numpy_iterator())
        seen = np.concatenate(labels(batches))
        assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
        assert {len(y) for _, y in batches} == {4}

    def test_needs_a_batch_size(self):
        with pytest.raises(ValueError, match="'t' are arrays.*batch_size"):
            arrays(batch_size=None)

    @pytest.mark.parametrize("x", [X[:9], X[:0], np.float32(1)])
    def test_refuses_lengths_that_differ(self, x):
        with pytest.raises(ValueError, match="'t' must have one length"):
            make_task_data("t", (x, Y[:0] if not x.size else Y), 4, 0)


class TestPyDataset:
    def test_passes_and_their_ends(self):
        data = make_task_data("t", Numbered(), None, 0)
        batches = list(data.read(2, 5))
        assert [x[0, 0] for x, _ in batches] == [2, 0, 1, 2, 0]
        assert [y[0] for _, y in batches] == [0, 1, 1, 1, 2]
        assert batches[0][0].dtype == "float32"

    def test_later_passes_follow_as_many_ends(self):
        data = make_task_data("t", Numbered(), None, 0)
        assert labels(data.read(9, 1)) == [[3, 3]]

    def test_as_a_dataset(self):
        dataset = make_task_data("t", Numbered(), None, 0).to_dataset()
        seen = [x[0, 0] for x, _ in dataset.take(5).as_numpy_iterator()]
        assert seen == [0, 1, 2, 0, 1]

    def test_needs_a_length(self):
        class Endless(Numbered):
            num_batches = None

        with pytest.raises(ValueError, match="'t' must have a length"):
            make_task_data("t", Endless(), None, 0)


class TestDataset:
    def dataset(self):
        return tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)

    def test_goes_on_where_it_stopped(self):
        data = make_task_data("t", self.dataset(), None, 0)
        whole = labels(data.read(0, 7))
        assert whole[:3] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert labels(data.read(7, 2)) == [whole[1], whole[2]]

    def test_going_on_opens_nothing_anew(self):
        opened = itertools.count()

        def examples():
            next(opened)
            yield from ((np.float32([i]), i) for i in range(100))

        spec = tf.TensorSpec((1,), tf.float32), tf.TensorSpec((), tf.int32)
        dataset = tf.data.Dataset.from_generator(
            examples, output_signature=spec
        )
        data = make_task_data("t", dataset.batch(1), None, 0)
        for start in range(0, 40, 10):
            expected = [[i] for i in range(start, start + 10)]
            assert labels(data.read(start, 10)) == expected
        assert next(opened) == 1

    def test_any_place(self):
        data = make_task_data("t", self.dataset(), None, 0)
        whole = labels(data.read(0, 9))
        assert labels(data.read(4, 2)) == whole[4:6]

    def test_a_reader_left_alone_disturbs_nobody(self):
        data = make_task_data("t", self.dataset(), None, 0)
        whole = labels(data.read(0, 9))
        left = data.read(0, 5)
        next(left)
        assert labels(data.read(0, 3)) == whole[:3]
        list(left)
        assert labels(data.read(3, 3)) == whole[3:6]

    def test_refuses_a_dataset_without_batches(self):
        empty = tf.data.Dataset.from_tensor_slices((X, Y))
        empty = empty.batch(64, drop_remainder=True)
        with pytest.raises(ValueError, match="'t' has no batches"):
            make_task_data("t", empty, None, 0)
        # Here it cannot be known before it is read.
        data = make_task_data("t", empty.filter(lambda x, y: True), None, 0)
        with pytest.raises(ValueError, match="'t' has no batches"):
            next(data.read(0, 1))

    def test_refuses_an_unknown_rank(self):
        def anything(x, y):
            types = [tf.float32, tf.int32]
            return tuple(tf.py_function(lambda *b: b, (x, y), types))

        with pytest.raises(ValueError, match="'t' must have a known rank"):
            make_task_data("t", self.dataset().map(anything), None, 0)

    def test_batches_may_have_any_size(self):
        data = make_task_data("t", self.dataset(), None, 0)
        assert data.spec == (
            tf.TensorSpec((None, 1), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        )
        assert data.to_dataset().cardinality() == tf.data.INFINITE_CARDINALITY


@pytest.mark.parametrize(
    "data",
    [
        X,
        (X, Y, Y),
        "data",
        None,
        (X, {"a": Y}),
        tf.data.Dataset.from_tensor_slices(X),
        tf.data.Dataset.from_tensor_slices((X, Y, Y)),
    ],
)
def test_refuses_other_data(data):
    with pytest.raises(ValueError, match="task 't' must be a pair.*Received"):
        make_task_data("t", data, 4, 0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
