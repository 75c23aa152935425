"""Class weights of single tasks."""

import numpy as np
import pytest

from keras_mtl.class_weights import class_sample_weight
from keras_mtl.class_weights import is_per_task
from keras_mtl.class_weights import validate_class_weight

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


@pytest.mark.parametrize(
    "class_weight, message",
    [
        ({"c": {0: 1.0}}, "'c' that is no output"),
        ({"a": 2.0}, "should be a dict from class"),
        ({"a": {}}, "should be a dict from class"),
        ({"a": {"0": 1.0}}, "class indices"),
        ({"a": {0: -1.0}}, "from 0 up"),
        ({"a": {0: float("nan")}}, "from 0 up"),
    ],
)
def test_mistakes(class_weight, message):
    with pytest.raises(ValueError, match=message):
        validate_class_weight(class_weight, ["a", "b"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
