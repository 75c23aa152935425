"""Batches of several tasks in a given mix."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.selection.task_labels import TaskLabels
from keras_mtl.selection.task_labels import common_spec
from keras_mtl.selection.task_sampler import make_all_task_data
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.by_output import check_entries


def ratio_sequence(ratios: Sequence[int]) -> list[int]:
    """The cycle of a mix: every index as often in a row as its ratio says.

    Args:
        ratios: Integers from 0 up, not all zero.

    Returns:
        List of indices.

    Example:

    >>> keras_mtl.selection.ratio_sequence([2, 1, 0])
    [0, 0, 1]
    """
    is_sequence = isinstance(ratios, (Sequence, np.ndarray))
    if not is_sequence or isinstance(ratios, str) or not len(ratios):
        raise ValueError(
            "`ratios` must be a sequence of integers from 0 up. Received: "
            f"ratios={ratios!r}"
        )
    ratios = [integer_from(0, "ratios", ratio) for ratio in ratios]
    if not any(ratios):
        raise ValueError(
            f"`ratios` must hold a number above 0. Received: ratios={ratios!r}"
        )
    return [index for index, r in enumerate(ratios) for _ in range(r)]


def mix_datasets(
    data: Mapping[str, Any],
    ratios: Mapping[str, int] | Sequence[int],
    batch_size: int | None = None,
    missing_label: Any = float("nan"),
    seed: int | None = None,
) -> Any:
    """Mixes one dataset a task into one, batch by batch.

    Whole batches of the tasks follow each other in a fixed cycle: ratios of
    `{"main": 2, "tags": 1, "noise": 0}` give main, main, tags, main, main,
    tags, ... Each batch is labelled for its task and has missing labels for
    all others; the model must know the same `missing_label`, or it would learn
    from NaN, and its loss would be NaN. The second stage of AutoSeM trains in
    this way, with ratios that `keras_mtl.selection.MixingRatioSearch` finds.

    Args:
        data: Dict from the names of the tasks (those of the model's outputs)
            to their data: a pair `(x, y)` of arrays, x in any structure that
            the model takes, or a `tf.data.Dataset` or `keras.utils.PyDataset`
            of batches `(x, y)`. Each is repeated without end; arrays are
            shuffled anew in every pass.
        ratios: Dict from the names of the tasks to integers from 0 up, or
            these in the order of `data`. Tasks that a dict does not name have
            0: they are not trained, but their labels are missing in the
            batches of others.
        batch_size: int. Examples in a batch, where arrays are given.
        missing_label: Number that stands for a missing label, or a dict of
            them by task. Integer labels cannot be NaN: give e.g. -1.
        seed: int or `None`, of the order of arrays. By default drawn from
            Python's generator, which `keras.utils.set_random_seed` seeds.

    Returns:
        A `tf.data.Dataset` without end: give `fit` a `steps_per_epoch`.

    Raises:
        ValueError: If an argument does not fit, or if the inputs of the tasks
            differ in structure or type.

    Example:

    ```python
    dataset = keras_mtl.selection.mix_datasets(
        {"main": (x, y), "tags": (tag_x, tags)},
        ratios={"main": 2, "tags": 1},
        batch_size=32,
    )
    model.compile("adam", loss=losses, missing_label=float("nan"))
    model.fit(dataset, steps_per_epoch=300, epochs=10)
    ```
    """
    import tensorflow as tf

    data = make_all_task_data(data, batch_size, seed)
    ratios = _ratios_by_task(ratios, list(data))
    labels = TaskLabels({t: d.spec[1] for t, d in data.items()}, missing_label)
    # tf.data would say less clearly what does not fit.
    common_spec({task: d.spec[0] for task, d in data.items()})
    tasks = [task for task, ratio in ratios.items() if ratio]
    cycle = ratio_sequence([ratios[task] for task in tasks])
    choice = tf.data.Dataset.from_tensor_slices(np.array(cycle, "int64"))
    mixed = tf.data.Dataset.choose_from_datasets(
        [_labelled(task, data[task], labels) for task in tasks],
        choice.repeat(),
    )
    return mixed.prefetch(tf.data.AUTOTUNE)


def _labelled(task: str, data: Any, labels: TaskLabels) -> Any:
    return data.to_dataset().map(lambda x, y: (x, labels.tensors(task, y)))


def _ratios_by_task(ratios: Any, tasks: list[str]) -> dict[str, int]:
    if isinstance(ratios, Mapping):
        check_entries("ratios", ratios, tasks, "tasks in `data`")
        ratios = [ratios.get(task, 0) for task in tasks]
    # Also checks what they are.
    cycle = ratio_sequence(ratios)
    if len(ratios) != len(tasks):
        raise ValueError(
            f"`ratios` must have a number for each of the tasks {tasks}. "
            f"Received: ratios={ratios!r}"
        )
    return {task: cycle.count(place) for place, task in enumerate(tasks)}
