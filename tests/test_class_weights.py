"""Class weights of single tasks."""

import numpy as np
import pytest

from keras_mtl.class_weights import class_sample_weight
from keras_mtl.class_weights import is_per_task
from keras_mtl.class_weights import validate_class_weight
from keras_mtl.class_weights import with_class_weight

WEIGHTS = {0: 0.5, 2: 4.0}


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 1, 2]),
        np.array([[0], [1], [2]]),
        np.array([0.0, 1.0, 2.0], "float32"),
        np.eye(3, dtype="float32"),
    ],
    ids=["indices", "column", "floats", "one_hot"],
)
def test_every_form_of_labels(labels):
    np.testing.assert_allclose(
        class_sample_weight(labels, WEIGHTS), [0.5, 1.0, 4.0]
    )


def test_tells_dicts_of_tasks_from_dicts_of_classes():
    assert is_per_task({"a": WEIGHTS})
    assert is_per_task({"a": 3.0})
    assert not is_per_task(WEIGHTS)
    assert not is_per_task(None)


def test_classes_as_numpy_counts_them():
    values, counts = np.unique([0, 1, 1], return_counts=True)
    validate_class_weight({"a": dict(zip(values, 1 / counts))}, ["a"])


def test_multiplies_sample_weights_of_any_rank():
    labels = {"a": np.array([[0, 1], [2, 2]])[..., None], "b": np.array([0, 1])}
    given = {"a": np.array([1.0, 2.0]), "b": np.array([[3.0], [1.0]])}
    result = with_class_weight(
        labels, given, {"a": WEIGHTS, "b": {0: 2.0}}, None
    )
    np.testing.assert_allclose(result["a"], [[0.5, 1.0], [8.0, 8.0]])
    np.testing.assert_allclose(result["b"], [6.0, 1.0])


def test_listed_labels_go_by_output_names():
    labels = [np.array([0, 1]), np.array([0, 1])]
    result = with_class_weight(labels, None, {"b": {0: 2.0}}, ["a", "b"])
    np.testing.assert_allclose(result[0], [1.0, 1.0])
    np.testing.assert_allclose(result[1], [2.0, 1.0])


def test_names_that_no_label_has_are_refused():
    with pytest.raises(ValueError, match=r"entries \['typo'\]"):
        with_class_weight({"a": np.zeros(2)}, None, {"typo": {0: 1.0}}, None)
    with pytest.raises(ValueError, match="goes by the names of outputs"):
        with_class_weight([np.zeros(2)], None, {"a": {0: 1.0}}, None)


@pytest.mark.parametrize(
    "class_weight, message",
    [
        ({"c": {0: 1.0}}, "'c' that is no output"),
        ({"a": 2.0}, "should be a dict from class"),
        ({"a": {}}, "should be a dict from class"),
        ({"a": {"0": 1.0}}, "class indices"),
        ({"a": {0: -1.0}}, "from 0 up"),
        ({"a": {0: float("nan")}}, "from 0 up"),
        ({"a": {0: float("inf")}}, "from 0 up"),
        ({"a": {True: 1.0}}, "class indices"),
    ],
)
def test_mistakes(class_weight, message):
    with pytest.raises(ValueError, match=message):
        validate_class_weight(class_weight, ["a", "b"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
