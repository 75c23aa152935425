import numpy as np
import pytest

from keras_mtl.layers import by_task


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
            r"takes the tasks \['a', 'b'\]. Received: \['a', 'c'\]",
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


def test_names_of_tasks_are_strings():
    with pytest.raises(ValueError, match="'layer' .* strings.*Received.*0"):
        by_task.names_of("layer", {0: None, "a": None})


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
