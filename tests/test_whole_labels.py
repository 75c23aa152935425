"""Labels in arrays are looked at, whichever is known first."""

import numpy as np
import pytest

from keras_mtl.whole_labels import WholeLabels

NAN = float("nan")
IN_PART = np.array([[1.0, NAN], [NAN, NAN], [0.0, 1.0]])
MESSAGE = r"1 labels of 'a' .* but the loss takes .* shape \(3, 2\)"


def require(labels, value=NAN, output="a", axes=(1,), rank=2):
    labels.require(output, "the loss", value, axes, rank)


def test_arrays_that_come_before_the_requirement():
    labels = WholeLabels()
    with labels.watching({"a": IN_PART}):
        with pytest.raises(ValueError, match=MESSAGE):
            require(labels)


@pytest.mark.parametrize("value", [NAN, -1.0])
def test_arrays_that_come_after_the_requirement(value):
    labels = WholeLabels()
    require(labels, value)
    array = np.nan_to_num(IN_PART, nan=value)
    with pytest.raises(ValueError, match=MESSAGE):
        # As of validation data.
        with labels.watching({"a": IN_PART[1:]}, {"a": array}):
            pass


def test_labels_that_may_be_in_part():
    labels = WholeLabels()
    require(labels, output="b")
    require(labels, axes=())
    require(labels, rank=3)
    with labels.watching({"a": IN_PART}, {"a": None}, {"b": IN_PART[1:]}):
        pass


def test_arrays_are_let_go():
    labels = WholeLabels()
    with labels.watching({"a": IN_PART}):
        with labels.watching({"a": IN_PART[1:]}):
            pass
    require(labels)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
