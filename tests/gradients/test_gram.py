"""Inner products of task gradients against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.gradients import gram


class Variable:
    def __init__(self, path):
        self.path = path


def gradients(seed, shape, tasks):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for _ in range(tasks)]


def test_column_gram_is_the_flattened_inner_product():
    column = gradients(0, (3, 4), 3)
    rows = np.stack([g.ravel() for g in column]).astype("float64")
    np.testing.assert_allclose(
        gram.column_gram(column), rows @ rows.T, rtol=1e-5
    )


def test_tasks_that_do_not_reach_a_variable_have_zero_rows():
    first, second = gradients(1, (5,), 2)
    result = ops.convert_to_numpy(gram.column_gram([first, None, second]))
    assert np.all(result[1] == 0) and np.all(result[:, 1] == 0)
    np.testing.assert_allclose(result[0, 2], first @ second, rtol=1e-5)


def test_half_precision_does_not_overflow():
    # 300^2 * 4 is beyond the largest float16, 65504.
    column = [np.full((4,), 300.0, "float16")] * 2
    np.testing.assert_allclose(gram.column_gram(column), 4 * 300.0**2)


@pytest.mark.parametrize(
    "granularity, expected",
    [
        ("model", [0, 0, 0]),
        ("layer", ["dense", "dense", "block/dense_1"]),
        ("variable", [0, 1, 2]),
    ],
)
def test_groups(granularity, expected):
    paths = ["dense/kernel", "dense/bias", "block/dense_1/kernel"]
    groups = gram.group_variables([Variable(p) for p in paths], granularity)
    assert groups == expected


def test_groups_of_variables_are_summed():
    columns = [gradients(seed, (4,), 2) for seed in range(3)]
    groups = ["a", "b", "a"]
    result = gram.grouped_gram(columns, groups)
    single = [ops.convert_to_numpy(gram.column_gram(c)) for c in columns]
    np.testing.assert_allclose(result[0], single[0] + single[2], rtol=1e-5)
    np.testing.assert_allclose(result[1], single[1], rtol=1e-5)
    assert gram.group_indices(groups) == [0, 1, 0]


def test_weighted_sum_skips_missing_gradients():
    first, second = gradients(2, (2, 2), 2)
    weights = ops.convert_to_tensor([2.0, 5.0, -1.0])
    result = gram.weighted_sum([first, None, second], weights)
    np.testing.assert_allclose(result, 2 * first - second, rtol=1e-6)


def test_total_is_none_where_no_task_reaches():
    first, second = gradients(3, (2,), 2)
    assert gram.total([None, None]) is None
    np.testing.assert_allclose(
        gram.total([first, None, second]), first + second, rtol=1e-6
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
