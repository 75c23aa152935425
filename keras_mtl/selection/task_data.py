"""The data of one task: arrays, a `tf.data.Dataset` or a `PyDataset`.

All of them become batches without end that can be read from any place on, so
that a training which was interrupted goes on with the batches that it would
have seen.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

Batch = tuple[Any, Any]
FOREVER = 2**62


def make_task_data(
    task: str, data: Any, batch_size: int | None, seed: int
) -> "TaskData":
    """Wraps what a user gives for a task.

    Args:
        task: Name of the task, for error messages.
        data: Pair `(x, y)` of arrays, or a dataset of batches of such pairs.
        batch_size: Examples in a batch of arrays.
        seed: Of the order of arrays.
    """
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        return DatasetData(task, data)
    if isinstance(data, keras.utils.PyDataset):
        return PyDatasetData(task, data)
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return ArrayData(task, *data, batch_size, seed)
    raise ValueError(
        f"The data of task '{task}' must be a pair `(x, y)` of arrays, or a "
        "`tf.data.Dataset` or `keras.utils.PyDataset` of batches `(x, y)`. "
        f"Received: {_describe(data)}"
    )


class TaskData:
    """Base of the kinds of data.

    Attributes:
        spec: `tf.TensorSpec`s of a batch `(x, y)`.
        seed: int or `None`, of the order, where there is one to be drawn.
    """

    spec: Batch
    seed: int | None = None

    def read(self, start: int, count: int) -> Iterator[Batch]:
        """Yields `count` batches from the one of number `start` on."""
        raise NotImplementedError

    def to_dataset(self) -> Any:
        """A `tf.data.Dataset` of the batches, without end."""
        raise NotImplementedError


class ArrayData(TaskData):
    """Batches of shuffled arrays.

    Every pass has an order of its own, and batches go on over the end of a
    pass, so that all have the same size. Any batch can be had by its number.
    """

    def __init__(
        self, task: str, x: Any, y: Any, batch_size: int | None, seed: int
    ):
        if batch_size is None:
            raise ValueError(
                f"The data of task '{task}' are arrays, which need a "
                "`batch_size`. Received: batch_size=None"
            )
        self.arrays = keras.tree.map_structure(_as_array, (x, y))
        self.num_examples = _num_examples(task, self.arrays)
        self.batch_size = batch_size
        self.seed = seed
        self.spec = keras.tree.map_structure(_array_spec, self.arrays)
        _check_pair(task, self.spec)

    def read(self, start: int, count: int) -> Iterator[Batch]:
        orders: dict[int, np.ndarray] = {}
        for number in range(start, start + count):
            first = number * self.batch_size
            places = np.arange(first, first + self.batch_size)
            passes, places = np.divmod(places, self.num_examples)
            orders = {
                p: orders[p] if p in orders else self._order(p)
                for p in range(passes[0], passes[-1] + 1)
            }
            rows = np.concatenate(
                [orders[p][places[passes == p]] for p in orders]
            )
            yield keras.tree.map_structure(lambda a: a[rows], self.arrays)

    def to_dataset(self) -> Any:
        import tensorflow as tf

        dataset = tf.data.Dataset.from_tensor_slices(self.arrays)
        dataset = dataset.shuffle(self.num_examples, seed=self.seed)
        return dataset.repeat().batch(self.batch_size)

    def _order(self, number: int) -> np.ndarray:
        random = np.random.default_rng([self.seed, number])
        return random.permutation(self.num_examples)


class PyDatasetData(TaskData):
    """The batches of a `PyDataset`, in its order."""

    def __init__(self, task: str, dataset: keras.utils.PyDataset):
        if not dataset.num_batches:
            raise ValueError(
                f"The PyDataset of task '{task}' must have a length, which is "
                "the number of its batches. Received: "
                f"num_batches={dataset.num_batches}"
            )
        self.dataset = dataset
        self.passes = 0
        _check_pair(task, dataset[0])
        self.spec = keras.tree.map_structure(_array_spec, self._batch(0))

    def read(self, start: int, count: int) -> Iterator[Batch]:
        for number in range(start, start + count):
            passes, index = divmod(number, self.dataset.num_batches)
            while self.passes < passes:
                self.dataset.on_epoch_end()
                self.passes += 1
            yield self._batch(index)

    def to_dataset(self) -> Any:
        import tensorflow as tf

        return tf.data.Dataset.from_generator(
            lambda: self.read(0, FOREVER), output_signature=self.spec
        )

    def _batch(self, index: int) -> Batch:
        return keras.tree.map_structure(_as_array, tuple(self.dataset[index]))


class DatasetData(TaskData):
    """The batches of a `tf.data.Dataset`, over and over again.

    They come one after the other: reading goes on where it stopped, and to
    read from anywhere else means to read what comes before.
    """

    def __init__(self, task: str, dataset: Any):
        _check_pair(task, dataset.element_spec)
        _check_ranks(task, dataset.element_spec)
        if not int(dataset.cardinality()):
            raise ValueError(_no_batches(task))
        self.task = task
        self.dataset = dataset.repeat()
        self.spec = keras.tree.map_structure(_free_batch, dataset.element_spec)
        # An iterator and the number of its next batch.
        self._open: tuple[Iterator[Batch], int] | None = None

    def read(self, start: int, count: int) -> Iterator[Batch]:
        # Taken out, because a reader that nobody reads to its end may still
        # be fetching ahead while the next one starts.
        kept, self._open = self._open, None
        iterator = kept[0] if kept and kept[1] == start else None
        if iterator is None:
            iterator = self.dataset.skip(start).as_numpy_iterator()
        for number in range(count):
            batch = next(iterator, None)
            if batch is None:
                raise ValueError(_no_batches(self.task))
            if number == count - 1:
                self._open = iterator, start + count
            yield batch

    def to_dataset(self) -> Any:
        return self.dataset


def _as_array(value: Any) -> np.ndarray:
    """As Keras takes arrays: of Python's floats it makes its own."""
    array = np.asarray(keras.ops.convert_to_numpy(value))
    if array.dtype == "float64":
        array = array.astype(keras.config.floatx())
    return array


def _array_spec(array: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.TensorSpec((None, *array.shape[1:]), array.dtype)


def _free_batch(spec: Any) -> Any:
    import tensorflow as tf

    return tf.TensorSpec((None, *spec.shape[1:]), spec.dtype)


def _num_examples(task: str, arrays: Any) -> int:
    lengths = {len(a) if a.ndim else 0 for a in keras.tree.flatten(arrays)}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            f"The arrays of task '{task}' must have one length, which is the "
            f"number of examples. Received: lengths {sorted(lengths)}"
        )
    return lengths.pop()


def _check_pair(task: str, batch: Any) -> None:
    is_pair = isinstance(batch, (tuple, list)) and len(batch) == 2
    if not is_pair or keras.tree.is_nested(batch[1]):
        raise ValueError(
            f"A batch of task '{task}' must be a pair `(x, y)`, where y is "
            "one tensor, the labels of that task alone. Received: "
            f"{_describe(batch)}"
        )


def _check_ranks(task: str, batch: Any) -> None:
    if any(spec.shape.rank is None for spec in keras.tree.flatten(batch)):
        raise ValueError(
            f"The batches of task '{task}' must have a known rank; "
            "`tf.ensure_shape` in a `map` of the dataset gives it. Received: "
            f"{batch}"
        )


def _no_batches(task: str) -> str:
    return (
        f"The dataset of task '{task}' has no batches. Does it batch with "
        "`drop_remainder` fewer examples than a batch has?"
    )


def _describe(data: Any) -> str:
    if isinstance(data, (tuple, list)):
        parts = ", ".join(type(part).__name__ for part in data)
        return f"a {type(data).__name__} of {len(data)} ({parts})"
    return f"{type(data).__name__}"
