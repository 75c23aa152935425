"""Inner products of task gradients against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.gradients import gram
from keras_mtl.gradients.sparse import Rows
from keras_mtl.gradients.sparse import SparseGradient

pytestmark = pytest.mark.backend


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


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_gram_in_units_of_gradients_whose_squares_are_out_of_range(size):
    columns = [gradients(seed, (4,), 2) for seed in range(2)]
    columns[0] = [np.float32(size) * g for g in columns[0]]
    grams, units = map(
        ops.convert_to_numpy, gram.scaled_gram(columns, ["a", "b"])
    )
    for column, found, unit in zip(columns, grams, units):
        rows = np.stack(column).astype("float64")
        np.testing.assert_allclose(
            found * np.float64(unit) ** 2, rows @ rows.T, rtol=1e-5
        )
    assert (units == 1).tolist() == [size == 1, True]


def test_gram_in_units_of_rows_of_a_table():
    rows = Rows(np.array([2, 0]), np.array([True, True]), 5)
    column = [
        SparseGradient(rows, np.float32(1e-20) * g, "float32")
        for g in gradients(0, (2, 3), 2)
    ]
    (found,), (unit,) = map(
        ops.convert_to_numpy, gram.scaled_gram([column], [0])
    )
    flat = np.stack([g.values.ravel() for g in column]).astype("float64")
    np.testing.assert_allclose(
        found * np.float64(unit) ** 2, flat @ flat.T, rtol=1e-5
    )


def test_gram_of_zeros_and_of_what_is_not_finite():
    columns = [[np.zeros(3, "float32")] * 2, [np.float32([1, np.inf])] * 2]
    grams, units = map(ops.convert_to_numpy, gram.scaled_gram(columns, [0, 1]))
    assert not grams[0].any()
    assert not np.isfinite(grams[1]).any()
    np.testing.assert_array_equal(units, [1, 1])


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_gram_of_replicas_is_added_up_in_one_unit(size):
    column = [np.float32(size) * g for g in gradients(0, (4,), 2)]
    # Three replicas with the same gradients.
    grams, units = gram.scaled_gram([column], [0], lambda values: 3 * values)
    (found,), (unit,) = map(ops.convert_to_numpy, (grams, units))
    rows = np.stack(column).astype("float64")
    np.testing.assert_allclose(
        found * np.float64(unit) ** 2, 3 * rows @ rows.T, rtol=1e-5
    )


def two_replicas(mine, others):
    """What the first one finds, with what the second one hands it."""
    sums = []

    def add(values):
        if not sums:
            sizes = [gram._largest_entry(column) for column in others]
            sums.append(values + ops.stack(sizes))
            return sums[0]
        units = [gram._unit(size) for size in ops.unstack(sums[0], len(others))]
        products = [
            gram.column_gram(column, unit)
            for column, unit in zip(others, units)
        ]
        return values + ops.stack(products)

    grams, units = gram.scaled_gram(mine, [0] * len(mine), add)
    return [ops.convert_to_numpy(part)[0] for part in (grams, units)]


def test_replicas_that_have_nothing_agree_with_the_others():
    zeros = [[np.zeros(4, "float32")] * 2] * 2
    first = [np.float32(1e-12) * g for g in gradients(0, (4,), 2)]
    second = [np.float32(1e-12) * g for g in gradients(1, (4,), 2)]
    for mine, others in (
        (zeros, [first, second]),
        ([zeros[0], second], [first, zeros[0]]),
    ):
        found = two_replicas(mine, others)
        np.testing.assert_array_equal(found[0], two_replicas(others, mine)[0])
        assert found[1] == two_replicas(others, mine)[1]
        rows = np.concatenate([first, second], axis=1).astype("float64")
        np.testing.assert_allclose(
            found[0] * np.float64(found[1]) ** 2, rows @ rows.T, rtol=1e-5
        )


@pytest.mark.parametrize("size", [1e-21, 1e20])
@pytest.mark.parametrize("others", [0.0, 1e-21])
@pytest.mark.parametrize(
    "shape", [(512, 512), (6000, 3), (4096, 5), (1024, 300), (512, 1000)]
)
def test_size_of_a_kernel_is_seen_in_whichever_column_it_is(
    shape, size, others
):
    """Only some entries are looked at; those of dead units are zero."""
    rng = np.random.default_rng(0)
    column = [np.full(shape, others, "float32") for _ in range(2)]
    for gradient in column:
        gradient[:, -1] = size * rng.normal(size=shape[0])
    (found,), (unit,) = map(
        ops.convert_to_numpy, gram.scaled_gram([column], [0])
    )
    rows = np.stack(column).reshape(2, -1).astype("float64")
    np.testing.assert_allclose(
        found * np.float64(unit) ** 2, rows @ rows.T, rtol=1e-4
    )


def test_a_small_sample_leaves_room_for_large_entries():
    column = [np.full(16385, 1e-21, "float32") for _ in range(2)]
    for sign, gradient in zip((1, -1), column):
        # Between those that are looked at.
        gradient[1] = sign
    (found,), (unit,) = map(
        ops.convert_to_numpy, gram.scaled_gram([column], [0])
    )
    np.testing.assert_allclose(found * unit**2, [[1, -1], [-1, 1]], rtol=1e-6)
    assert unit != 1


@pytest.mark.parametrize("small", [0.0, 1e-30, 1e-20])
def test_a_few_large_entries_among_short_ones(small):
    column = [np.full(1 << 20, small, "float32") for _ in range(2)]
    for sign, gradient in zip((1, -1), column):
        gradient[1:20000:1001] = sign
    (found,), (unit,) = map(
        ops.convert_to_numpy, gram.scaled_gram([column], [0])
    )
    expected = 20 * np.float64([[1, -1], [-1, 1]])
    np.testing.assert_allclose(found * unit**2, expected, rtol=1e-5)


def test_short_entries_between_zeros():
    sparse = [np.zeros(1 << 16, "float32") for _ in range(2)]
    for gradient in sparse:
        gradient[1:20000:1001] = 1e-25
    columns = [sparse, [np.full(8, 1e-25, "float32")] * 2]
    (found,), (unit,) = map(
        ops.convert_to_numpy, gram.scaled_gram(columns, ["a", "a"])
    )
    np.testing.assert_allclose(
        found * np.float64(unit) ** 2, np.full((2, 2), 28e-50), rtol=1e-4
    )


@pytest.mark.parametrize(
    "shape", [(3, 3, 256, 256), (1, 1, 512, 512), (7, 7, 3, 64), (512, 8, 64)]
)
def test_not_all_of_a_large_kernel_is_looked_at(shape):
    stride = gram._stride(shape)
    assert np.prod(shape) / stride < 10_000
    assert np.gcd(stride, shape[-1]) == 1


def test_gradients_of_no_rows_have_inner_products_of_zero():
    column = [np.zeros((0, 3), "float32")] * 2
    (found,), (unit,) = map(
        ops.convert_to_numpy, gram.scaled_gram([column], [0])
    )
    assert unit == 1
    assert not found.any()


# What is far shorter than others in its group adds nothing to the sum.
@pytest.mark.parametrize("scales", [(1, 1), (1e-20, 1e20), (1e-30, 1e-10)])
def test_groups_of_variables_are_summed(scales):
    scales = np.float32(scales)
    columns = [
        [scale * g for g in gradients(seed, (4,), 2)]
        for seed, scale in enumerate((scales[0], 1, scales[1], 0))
    ]
    groups = ["a", "b", "a", "a"]
    assert gram.group_indices(groups) == [0, 1, 0, 0]
    grams, units = map(ops.convert_to_numpy, gram.scaled_gram(columns, groups))
    rows = [np.stack(column).astype("float64") for column in columns]
    products = [r @ r.T for r in rows]
    expected = products[0] + products[2], products[1]
    for found, unit, product in zip(grams, units, expected):
        np.testing.assert_allclose(
            found * np.float64(unit) ** 2, product, rtol=1e-5
        )


@pytest.mark.parametrize("scale", [1e-20, 1e-30])
def test_zeros_hide_nothing_small(scale):
    small = [np.float32(scale) * g for g in gradients(0, (4,), 2)]
    columns = [[np.zeros(3, "float32")] * 2, small]
    (found,), (unit,) = map(
        ops.convert_to_numpy, gram.scaled_gram(columns, ["a", "a"])
    )
    rows = np.stack(small).astype("float64")
    np.testing.assert_allclose(
        found * np.float64(unit) ** 2, rows @ rows.T, rtol=1e-5
    )


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_group_of_replicas_is_added_up_in_one_unit(scale):
    columns = [
        [np.float32(size) * g for g in gradients(seed, (4,), 2)]
        for seed, size in enumerate((1, scale))
    ]
    grams, units = gram.scaled_gram(
        columns, ["a", "a"], lambda values: 3 * values
    )
    (found,), (unit,) = map(ops.convert_to_numpy, (grams, units))
    rows = np.concatenate(columns, axis=1).astype("float64")
    np.testing.assert_allclose(
        found * np.float64(unit) ** 2, 3 * rows @ rows.T, rtol=1e-5
    )


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


def test_norms_of_gradients_far_apart():
    rng = np.random.default_rng(3)
    kernel, offset = rng.normal(size=(2, 3)), rng.normal(size=3)
    sizes = [1.0, 1e-20, 1e20, 1e-30]
    rows = [
        [np.float32(s * kernel), None if i == 2 else np.float32(s * offset)]
        for i, s in enumerate(sizes)
    ]
    rows += [[None, None], [np.zeros((2, 3), "float32"), None]]
    squares = np.sum(kernel**2) + [1, 1, 0, 1] * np.array(np.sum(offset**2))
    expected = [*(np.sqrt(squares) * sizes), 0, 0]
    found = ops.convert_to_numpy(gram.norms_of(rows)).astype("float64")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    none = ops.convert_to_numpy(gram.norms_of([[None], [None]]))
    np.testing.assert_array_equal(none, [0, 0])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
