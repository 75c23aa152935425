"""Batches of one task at a time, of the task that was chosen."""

import random
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_mtl.selection.task_data import make_task_data
from keras_mtl.selection.task_labels import TaskLabels
from keras_mtl.selection.task_labels import common_spec
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import one_of


class TaskSampler:
    """Feeds `fit` with batches of one task, which may change every epoch.

    There is one dataset a task, each with its own inputs and labels, as small
    or large as it likes. `dataset()` is what `fit` trains on: an epoch of it
    has `steps` batches of the task that was chosen before it began. Each batch
    is labelled for that task and has missing labels for all others, so that
    they get no loss and no gradient; the model must know the same
    `missing_label`, or it would learn from NaN:

        model.compile(..., missing_label=float("nan"))

    An epoch is thus one selection period, as long as `steps` says, and the
    chosen task is fixed from its first batch to its last: whatever fetches
    batches ahead stops at the end of an epoch, and so cannot fetch them of the
    wrong task. `keras_mtl.selection.BanditSelection` chooses tasks by their
    use for a main task. To choose in another way, call `begin_period` and
    `end_period` around each epoch, from a callback or around `fit`.

    A task goes on where it stopped when it is chosen again, without end.
    Arrays are shuffled anew in every pass. Datasets keep their own order; for
    another process to go on with the same batches, what is random in them
    needs a seed of its own.

    An optimizer with momentum moves all weights at every step, also those
    that get no gradient: for some steps after a switch the previous task goes
    on having an influence, and its head goes on moving.

    Args:
        data: Dict from the names of the tasks (those of the model's outputs)
            to their data: a pair `(x, y)` of arrays, x in any structure that
            the model takes, or a `tf.data.Dataset` or `keras.utils.PyDataset`
            of batches `(x, y)`. Sizes of x may differ, such as lengths of
            texts, where the model takes them all.
        steps: int. Batches in an epoch.
        batch_size: int. Examples in a batch, where arrays are given.
        missing_label: Number that stands for a missing label, or a dict of
            them by task. Integer labels cannot be NaN: give e.g. -1.
        seed: int or `None`, of the order of arrays. By default drawn from
            Python's generator, which `keras.utils.set_random_seed` seeds.

    Raises:
        ValueError: If an argument does not fit, or if the inputs of the tasks
            differ in structure or type.

    Example:

    ```python
    sampler = keras_mtl.selection.TaskSampler(
        {"main": (x, y), "other": (other_x, other_y)}, steps=50, batch_size=32
    )
    sampler.begin_period("other")
    model.fit(sampler.dataset(), epochs=1)  # 50 batches of "other"
    sampler.end_period()
    ```
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        steps: int,
        batch_size: int | None = None,
        missing_label: Any = float("nan"),
        seed: int | None = None,
    ):
        self.steps = integer_from(1, "steps", steps)
        self._data = make_all_task_data(data, batch_size, seed)
        self._labels = TaskLabels(
            {task: data.spec[1] for task, data in self._data.items()},
            missing_label,
        )
        self._spec = (
            common_spec(self.input_specs),
            self._labels.specs,
        )
        self._task = self.tasks[0]
        # How many batches of each task are used up.
        self._used = dict.fromkeys(self.tasks, 0)

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks."""
        return list(self._data)

    @property
    def input_specs(self) -> dict[str, Any]:
        """By task, the `tf.TensorSpec`s of its inputs x."""
        return {task: data.spec[0] for task, data in self._data.items()}

    @property
    def missing_label(self) -> dict[str, float]:
        """What stands for a missing label, by task."""
        return dict(self._labels.missing)

    def dataset(self) -> Any:
        """A `tf.data.Dataset` for `fit`: each pass over it is one epoch."""
        import tensorflow as tf

        dataset = tf.data.Dataset.from_generator(
            self._epoch, output_signature=self._spec
        )
        return dataset.apply(
            tf.data.experimental.assert_cardinality(self.steps)
        )

    def begin_period(self, task: str) -> None:
        """Makes the epochs that begin from now on batches of `task`."""
        self._task = one_of("task", task, self.tasks)

    def end_period(self) -> None:
        """Says that the epoch is over, and its batches used up.

        Without it, the task would begin with the same batches once more.
        """
        self._used[self._task] += self.steps

    def labels(self, task: str, y: Any) -> dict[str, Any]:
        """Labels of all tasks for examples of one, e.g. for validation.

        Args:
            task: Name of the task.
            y: Its labels, an array with one for each example.

        Returns:
            Dict from the names of the tasks to arrays: `y`, and missing labels
            for all other tasks.

        Raises:
            ValueError: If there is no such task, or if `y` is no array.
        """
        one_of("task", task, self.tasks)
        return self._labels.arrays(task, _check_labels(task, y))

    def get_state(self) -> dict[str, Any]:
        """Order of the data and how far they were read, for JSON."""
        return {
            "used": dict(self._used),
            "seeds": {task: data.seed for task, data in self._data.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where the sampler that returned `state` was.

        Raises:
            ValueError: If it is no state, or that of a sampler of other data;
                then the sampler stays as it is.
        """
        for name in ("used", "seeds"):
            by_task = state.get(name) if isinstance(state, dict) else None
            if not isinstance(by_task, dict):
                raise ValueError(
                    "`state` must be what `get_state` of a TaskSampler "
                    "returned, with 'used' and 'seeds' by task. Received: "
                    f"{state!r}"
                )
            if set(by_task) != set(self._used):
                raise ValueError(
                    "`state` belongs to a sampler of other tasks. Received: a "
                    f"state of {list(by_task)} for a sampler of {self.tasks}"
                )
        used, seeds = state["used"], state["seeds"]
        for task, data in self._data.items():
            integer_from(0, "used", used[task])
            if data.seed is None and seeds[task] is not None:
                raise ValueError(
                    f"`state` has a seed for task '{task}', whose data are in "
                    f"an order of their own. Received: {seeds[task]!r}"
                )
            if data.seed is not None:
                integer_from(0, "seeds", seeds[task])
        self._used = {task: used[task] for task in self.tasks}
        for task, data in self._data.items():
            data.seed = seeds[task]

    def _epoch(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        task = self._task
        for x, y in self._data[task].read(self._used[task], self.steps):
            yield x, self._labels.arrays(task, y)


def _check_labels(task: str, y: Any) -> np.ndarray:
    is_dict = isinstance(y, Mapping)
    try:
        labels = np.asarray(None if is_dict else y)
    except ValueError:
        # Sequences of several lengths are no array.
        labels = np.asarray(None)
    if not labels.ndim or labels.dtype.kind in "OSU":
        received = f"labels for {list(y)}" if is_dict else f"y={y!r}"
        raise ValueError(
            f"`y` must be an array of numbers, the labels of task '{task}' "
            f"alone, with one for each example. Received: {received}"
        )
    return labels


def make_all_task_data(
    data: Any, batch_size: int | None, seed: int | None
) -> dict[str, Any]:
    """Wraps the data of all tasks; see `TaskSampler` for the arguments."""
    if not isinstance(data, Mapping) or not data:
        raise ValueError(
            "`data` must be a dict from names of tasks to their data. "
            f"Received: data of type {type(data).__name__}"
        )
    if batch_size is not None:
        batch_size = integer_from(1, "batch_size", batch_size)
    if seed is None:
        seed = random.randrange(2**31)
    seed = integer_from(0, "seed", seed)
    return {
        task: make_task_data(task, given, batch_size, seed + place)
        for place, (task, given) in enumerate(data.items())
    }
