"""Labels in arrays are looked at, whichever is known first."""

import functools

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.labels.whole_labels import WholeLabels

pytestmark = pytest.mark.backend

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


def as_tensorflow(array, **kwargs):
    return pytest.importorskip("tensorflow").constant(array, **kwargs)


def as_jax(array, **kwargs):
    return pytest.importorskip("jax").numpy.array(array, **kwargs)


def as_frame(array):
    return pytest.importorskip("pandas").DataFrame(array)


KINDS = {
    "tensorflow": as_tensorflow,
    "bfloat16": functools.partial(as_tensorflow, dtype="bfloat16"),
    "jax": as_jax,
    "jax_bfloat16": functools.partial(as_jax, dtype="bfloat16"),
    "pandas": as_frame,
    "float16": lambda array: array.astype("float16"),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_arrays_of_every_library_are_looked_at(make):
    labels = WholeLabels()
    require(labels)
    with pytest.raises(ValueError, match=MESSAGE):
        with labels.watching({"a": make(IN_PART)}):
            pass


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
@pytest.mark.parametrize("kind", ["tensorflow", "jax", "pandas"])
def test_models_look_at_them(kind, method):
    if kind == "jax" and keras.backend.backend() != "jax":
        pytest.skip("Keras takes arrays of its backend alone")
    on_jax = keras.backend.backend() == "jax"
    is_other = kind == "pandas" or (kind == "tensorflow" and on_jax)
    if method == "train_on_batch" and is_other:
        pytest.skip("Keras takes arrays of its backend alone there")
    inputs = keras.Input((2,))
    model = MultiTaskModel(inputs, layers.Dense(2, "softmax", name="a")(inputs))
    model.compile(
        "sgd", loss="categorical_crossentropy", missing_label=float("nan")
    )
    train = getattr(model, method)
    train(np.ones((3, 2)), KINDS[kind](np.eye(2)[[0, 1, 0]]))
    with pytest.raises(ValueError, match="1 labels of 'a' .* in part"):
        train(np.ones((3, 2)), KINDS[kind](IN_PART))


def test_a_tensor_without_values_is_not_looked_at():
    labels = WholeLabels()
    require(labels)
    tf = pytest.importorskip("tensorflow")

    @tf.function
    def watch(tensor):
        with labels.watching({"a": tensor, "b": keras.KerasTensor((3, 2))}):
            return tensor

    assert watch(tf.constant(IN_PART)).shape == (3, 2)


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
