import keras
import numpy as np
import pytest

from keras_mtl.layers.parts import by_task
from keras_mtl.layers.parts.task_exchange import TaskExchange
from keras_mtl.layers.parts.task_exchange import check_built
from keras_mtl.layers.parts.task_exchange import masks_of
from tests.arrays import numpy


class Rotate(TaskExchange):
    """Gives each task what belongs to the next."""

    def build_exchange(self, shape):
        self.shape = shape

    def call(self, inputs):
        tensors = [tensor + 0.0 for tensor in self.tensors_of(inputs)]
        return by_task.like(inputs, self.tasks, [*tensors[1:], tensors[0]])


def tensors(count: int = 3) -> list[np.ndarray]:
    return [np.full((2, 4), value, "float32") for value in range(count)]


def test_gives_back_what_it_got_dictionary_list_or_tuple():
    a, b, c = tensors()
    named = Rotate()({"c": c, "a": a, "b": b})
    assert {name: numpy(x)[0, 0] for name, x in named.items()} == {
        "a": 1.0,
        "b": 2.0,
        "c": 0.0,
    }
    for kind in (list, tuple):
        outputs = Rotate()(kind([a, b, c]))
        assert isinstance(outputs, kind)
        assert [numpy(x)[0, 0] for x in outputs] == [1.0, 2.0, 0.0]


def test_works_on_symbols():
    inputs = {name: keras.Input((None, 4)) for name in ("b", "a")}
    outputs = Rotate()(inputs)
    assert {name: x.shape for name, x in outputs.items()} == {
        "a": (None, None, 4),
        "b": (None, None, 4),
    }


def test_knows_the_sizes_that_one_of_the_tasks_knows():
    layer = Rotate()
    layer.build([(None, None, 4), (None, 5, 4)])
    assert layer.shape == (None, 5, 4)
    assert layer.tasks == ["0", "1"]


def test_masks_stay_with_their_tasks():
    tokens = {"a": [[1, 2, 0]], "b": [[1, 0, 0]]}
    embedded = {
        name: keras.layers.Embedding(3, 4, mask_zero=True)(np.array(ids))
        for name, ids in tokens.items()
    }
    outputs = Rotate()(embedded)
    np.testing.assert_array_equal(
        numpy(outputs["a"]._keras_mask), [[True, True, False]]
    )
    np.testing.assert_array_equal(
        numpy(outputs["b"]._keras_mask), [[True, False, False]]
    )


@pytest.mark.parametrize(
    "inputs, message",
    [
        (np.zeros((2, 4), "float32"), "one tensor for each task"),
        ({"a": np.zeros((2, 4), "float32")}, "at least two.*'a'"),
        ([np.zeros((2, 4)), np.zeros((2, 1))], "shapes must be equal.*'1'"),
    ],
)
def test_refuses_other_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        Rotate()(inputs)


def test_refuses_to_stretch_a_tensor_in_a_later_call():
    layer = Rotate()
    layer([np.zeros((2, 4)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match="shapes must be equal"):
        layer([np.zeros((2, 4)), np.zeros((2, 1))])


def test_refuses_other_tasks_in_a_later_call():
    layer = Rotate()
    layer({"a": np.zeros((2, 4)), "b": np.zeros((2, 4))})
    with pytest.raises(ValueError, match=r"takes the tasks \['a', 'b'\]"):
        layer({"a": np.zeros((2, 4)), "c": np.zeros((2, 4))})


@pytest.mark.parametrize("shape", [(None,), (None, 3, None)])
def test_channels_must_be_known(shape):
    with pytest.raises(ValueError, match="number of channels"):
        Rotate().channels_of(shape)


def test_masks_in_the_order_of_the_names():
    assert masks_of(["a", "b"], None) == [None, None]
    assert masks_of(["a", "b"], [None, 3]) == [None, 3]
    assert masks_of(["a", "b"], {"b": 3, "a": None}) == [None, 3]


def test_there_must_be_weights_to_look_at():
    layer = Rotate(name="exchange")
    with pytest.raises(ValueError, match="'exchange' has no weights yet"):
        check_built(layer)
    layer(tensors())
    check_built(layer)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
