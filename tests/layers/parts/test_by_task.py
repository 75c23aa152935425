import functools

import keras
import numpy as np
import pytest

from keras_mtl import layers
from keras_mtl.layers.parts import by_task


def test_names_of_a_dictionary_are_in_the_order_of_the_alphabet():
    assert by_task.names_of("x", {"b": 1, "a": 2}) == ["a", "b"]


def test_names_of_a_list_are_its_places():
    assert by_task.names_of("x", [np.ones(2), np.ones(2)]) == ["0", "1"]
    assert by_task.names_of("x", [(None, 3), (None, 3)]) == ["0", "1"]


def test_values_go_back_to_their_places():
    inputs = {"b": 1, "a": 2}
    names = by_task.names_of("x", inputs)
    values = by_task.to_list("x", names, inputs)
    assert values == [2, 1]
    back = by_task.like(inputs, names, [20, 10])
    assert list(back.items()) == [("b", 10), ("a", 20)]
    assert by_task.like([1, 2], ["0", "1"], [3, 4]) == [3, 4]
    assert by_task.like((1, 2), ["0", "1"], [3, 4]) == (3, 4)


def test_equal_shapes_fill_in_what_one_of_them_knows():
    shapes = [(None, None, 3), (None, 5, 3)]
    assert by_task.check_equal_shapes("x", "ab", shapes) == (None, 5, 3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: by_task.check_tasks("ab"), "`tasks` should be a list"),
        (lambda: by_task.check_tasks([]), "`tasks` should be a list"),
        (lambda: by_task.check_tasks(["a", "a"]), "`tasks` should be a list"),
        (lambda: by_task.check_tasks(["a", ""]), "`tasks` should be a list"),
        (lambda: by_task.names_of("x", (None, 3)), "one tensor for each task"),
        (lambda: by_task.names_of("x", {}), "no tensor at all"),
        (
            lambda: by_task.to_list("x", ["a", "b"], {"a": 1, "c": 2}),
            r"takes the tasks \['a', 'b'\]. Received: \['a', 'c'\]. .*"
            r"as outputs\['a'\]",
        ),
        (
            lambda: by_task.to_list("x", ["a", "b"], [np.ones(1)]),
            "one tensor for each of the tasks",
        ),
        (
            lambda: by_task.check_equal_shapes("x", "ab", [(2, 3), (2, 4)]),
            r"'a' of shape \(2, 3\) and 'b' of shape \(2, 4\)",
        ),
        (
            lambda: by_task.check_equal_shapes("x", "ab", [(2, 3), (2, 3, 1)]),
            "must be equal",
        ),
    ],
)
def test_errors_name_the_layer_and_what_it_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Layers as functions of inputs that can be wrong.
TASKS = ["a", "b"]
DENSE = keras.layers.Dense(4)
LAYERS = {
    "CrossStitch": lambda: layers.CrossStitch(name="mine"),
    "Sluice": lambda: layers.Sluice(name="mine"),
    "GatedSharing": lambda: layers.GatedSharing(name="mine"),
    "SubNetworkRouting": lambda: layers.SubNetworkRouting(2, name="mine"),
    "LayerMixture": lambda: layers.LayerMixture(name="mine"),
    "PerTask": lambda: layers.PerTask(DENSE, TASKS, name="mine"),
    "SoftSharing": lambda: layers.SoftSharing(DENSE, TASKS, name="mine"),
    "MultilinearRelationship": lambda: layers.MultilinearRelationship(
        4, TASKS, name="mine"
    ),
    "MMoE": lambda: layers.MMoE(DENSE, TASKS, 2, name="mine"),
    "CGC": lambda: layers.CGC(DENSE, TASKS, 1, 1, name="mine"),
    "PLE": lambda: layers.PLE(DENSE, TASKS, 1, 1, 1, name="mine"),
    "TaskAttention": lambda: functools.partial(
        layers.TaskAttention(TASKS, name="mine"), X, X
    ),
    "AuxiliaryBranch": lambda: layers.AuxiliaryBranch(
        keras.layers.Dense(4), name="mine"
    ),
}
X = np.ones((4, 4), "float32")
NO_TENSORS = {
    "none": None,
    "no tasks": {},
    "empty list": [],
    "none of a task": {"a": X, "b": None},
    "none in a list": [X, None],
    "lists of tasks": {"a": [X, X], "b": [X, X]},
    "dicts of tasks": {"a": {"c": X}, "b": {"c": X}},
}


# A layer that takes lists, and one that nothing may come before.
FINE = [
    ("LayerMixture", "lists of tasks"),
    ("TaskAttention", "none"),
    ("TaskAttention", "no tasks"),
    ("TaskAttention", "empty list"),
]


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    "layer, inputs",
    [(x, y) for x in LAYERS for y in NO_TENSORS if (x, y) not in FINE],
)
def test_every_layer_refuses_what_is_no_tensor(layer, inputs, symbolic):
    values = NO_TENSORS[inputs]
    if symbolic:
        values = keras.tree.map_structure(
            lambda x: x if x is None else keras.Input((4,)), values
        )
    with pytest.raises(ValueError, match="'mine'.*(Received|no tensor)"):
        LAYERS[layer]()(values)


def test_shapes_are_not_what_is_no_shape():
    for shapes in ((), (None, 3), [2, 3], [(2, 3), (2, 4)], {"a": [2, 3]}):
        by_task.check_shapes("x", shapes)


def test_names_of_tasks_are_strings():
    with pytest.raises(ValueError, match="'layer' .* strings.*Received.*0"):
        by_task.names_of("layer", {0: None, "a": None})


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
