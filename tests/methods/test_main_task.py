"""A main task by name or index."""

import numpy as np
import pytest

from keras_mtl.methods.main_task import check_main_task
from keras_mtl.methods.main_task import index_of_main_task

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("given", ["a", 0, 2, np.int64(1)])
def test_names_and_indices(given):
    assert check_main_task(given) == given


@pytest.mark.parametrize("given", [None, 1.0, True, ["a"], -1])
def test_neither(given):
    with pytest.raises(ValueError, match="`main_task`.*main_task="):
        check_main_task(given)


@pytest.mark.parametrize("main_task, index", [("a", 0), ("b", 1), (1, 1)])
def test_index(main_task, index):
    assert index_of_main_task(main_task, ("a", "b")) == index


@pytest.mark.parametrize("main_task", ["c", 2])
def test_none_of_the_tasks(main_task):
    with pytest.raises(ValueError, match=r"one of the tasks \['a', 'b'\]"):
        index_of_main_task(main_task, ("a", "b"))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
