"""What is a label of strings, and whose."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.labels.string_labels import labels_given
from keras_mtl.labels.string_labels import refuse_string_labels

pytestmark = pytest.mark.backend

NUMBERS = np.arange(3)
WORDS = np.array(["a", "b", "a"])


@pytest.mark.parametrize(
    "labels, names, named",
    [
        ({"x": NUMBERS, "y": WORDS}, ["x", "y"], "the task 'y'"),
        ([NUMBERS, WORDS], ["x", "y"], "the task 'y'"),
        ((WORDS.astype(object), NUMBERS), ["x", "y"], "the task 'x'"),
        ({"x": {"u": NUMBERS, "v": WORDS}}, [], "the task 'x/v'"),
        ([NUMBERS, {"z": WORDS.astype("S1")}], ["x", "z"], "the task '1/z'"),
        (WORDS, ["x"], "the task 'x'"),
        (["a", "b"], [], "the model's output"),
        ({"x": ["a", "b"]}, ["x"], "the task 'x'"),
        ({"x": tf.TensorSpec((None,), "string")}, ["x"], "the task 'x'"),
        ({"x": tf.constant(["a"])}, ["x"], "the task 'x'"),
    ],
)
def test_names_the_task(labels, names, named):
    with pytest.raises(ValueError, match=f"labels of {named} are strings"):
        refuse_string_labels(labels, names)


def test_numbers_are_no_strings():
    objects = np.array([1, 2], dtype=object)
    half = tf.TensorSpec((None,), "bfloat16")
    refuse_string_labels({"x": NUMBERS, "y": [objects, half, 1, None]}, ["x"])
    refuse_string_labels(None, [])


def test_finds_the_labels_of_datasets():
    dataset = tf.data.Dataset.from_tensor_slices((NUMBERS, {"x": WORDS}))
    assert labels_given(dataset)["x"].dtype == "string"
    assert labels_given(dataset.map(lambda x, y: x)) is None
    assert labels_given(NUMBERS) is None
    assert labels_given(NUMBERS, WORDS) is WORDS


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
