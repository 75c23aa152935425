"""Combining the gradients of variables, against NumPy on the flat vectors."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import aggregators
from keras_mtl.aggregators import MGDA
from keras_mtl.aggregators import Aggregator
from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators import Projection
from keras_mtl.aggregators import Sum
from keras_mtl.methods import GradientSpec
from keras_mtl.trainers.combine import combine
from keras_mtl.trainers.objectives import Objectives

pytestmark = pytest.mark.backend

SHAPES = [(3, 2), (2,), (4,)]


class CoordinateMedian(Aggregator):
    """A method that no Gram matrix can express."""

    sees = "gradients"

    def combine(self, jacobian, step):
        return ops.median(jacobian, axis=0)


class LossProportionalRows(Aggregator):
    """One that also asks for the gradients themselves."""

    sees = "gradients"

    def combine(self, jacobian, step):
        return ops.sum(step.losses[:, None] * jacobian, axis=0)


class LossProportionalEntries(LossProportionalRows):
    sees = "entries"


class LossProportional(Aggregator):
    """A method that looks at the losses."""

    def update(self, gram, step):
        return ops.broadcast_to(step.losses, ops.shape(gram)[:-1])


def spec(num_tasks, num_groups=1):
    names = ("a", "b", "c")[:num_tasks]
    return GradientSpec(num_tasks, (num_groups,), tuple(SHAPES), names)


def make_columns(tasks=3, seed=0):
    rng = np.random.default_rng(seed)
    return [
        [rng.normal(size=shape).astype("float32") for _ in range(tasks)]
        for shape in SHAPES
    ]


def flat(columns):
    tasks = len(columns[0])
    return np.stack(
        [np.concatenate([c[t].ravel() for c in columns]) for t in range(tasks)]
    )


def flat_result(combined):
    parts = [ops.convert_to_numpy(g).ravel() for g in combined.gradients]
    return np.concatenate(parts)


LOSSES = np.array([1.0, 2.0, 3.0], "float32")


def objectives(tasks=3, scale=1.0, present=None):
    losses = LOSSES[:tasks]
    return Objectives([], None, losses, losses, present, scale)


@pytest.mark.parametrize("aggregator", [Sum(), MGDA(), LossProportional()])
def test_model_granularity_is_the_flat_vector(aggregator):
    columns = make_columns()
    rows = flat(columns)
    combined = combine(aggregator, columns, [0, 0, 0], objectives())
    if isinstance(aggregator, LossProportional):
        expected = LOSSES @ rows
    else:
        weights = ops.convert_to_numpy(aggregator.weights(rows @ rows.T))
        expected = weights @ rows
    np.testing.assert_allclose(flat_result(combined), expected, atol=1e-5)
    np.testing.assert_allclose(combined.gram, rows @ rows.T, rtol=1e-4)


SCALE_FREE = {
    "pcgrad": lambda: PCGrad(seed=0),
    "mgda": MGDA,
    "crmogm": aggregators.CRMOGM,
    "projection": lambda: Projection(0, smoothing=1.0, granularity="model"),
    "smoothed": lambda: Projection(0, smoothing=0.5, granularity="model"),
}


@pytest.mark.parametrize("size", [1e-20, 1e20])
class TestSquaresOutOfRange:
    """Float32 has these gradients, and not their squares."""

    def combined(self, name, size, scale=1.0):
        aggregator = SCALE_FREE[name]()
        columns = make_columns(seed=2)
        # Two groups, of which one has its squares in range.
        columns = [
            [np.float32(s * scale) * g for g in column]
            for s, column in zip((size, 1.0, size), columns)
        ]
        aggregator.build(spec(3, 2))
        return combine(aggregator, columns, [0, 1, 0], objectives(scale=scale))

    def updates(self, *args):
        gradients = self.combined(*args).gradients
        return [ops.convert_to_numpy(g).astype("float64") for g in gradients]

    @pytest.mark.parametrize("name", SCALE_FREE)
    def test_update_is_scaled(self, name, size):
        expected = self.updates(name, 1.0)
        found = self.updates(name, size)
        for factor, left, right in zip((size, 1, size), found, expected):
            np.testing.assert_allclose(left / factor, right, atol=1e-5)

    def test_loss_scale_changes_nothing(self, size):
        expected = self.updates("projection", size)
        found = self.updates("projection", size, 2.0**10)
        for left, right in zip(found, expected):
            limit = 1e-5 * np.abs(right).max()
            np.testing.assert_allclose(left / 2**10, right, atol=limit)

    def test_signs_are_those_of_the_longest(self, size):
        signs = ops.convert_to_numpy(self.combined("mgda", size).gram)
        columns = make_columns(seed=2)
        rows = flat([columns[v] for v in ([1] if size < 1 else [0, 2])])
        np.testing.assert_array_equal(signs < 0, rows @ rows.T < 0)


@pytest.mark.parametrize("main", [1e-16, 1e-18, 1e-19, 1e-20])
@pytest.mark.parametrize("auxiliary", [2e-14, 4e-12])
def test_rows_far_shorter_than_the_longest_keep_their_squares(main, auxiliary):
    """Those of the longest are in range, and those of the main task are not."""
    aggregator = Projection(0, smoothing=1.0, granularity="model")
    aggregator.build(["main", "auxiliary"])
    rows = np.array([[main, 0], [-auxiliary, auxiliary]], "float32")
    # The auxiliary gradient loses what opposes the main one: all of its x.
    expected = [main, auxiliary]
    found = flat_result(combine(aggregator, [[*rows]], [0], objectives(2)))
    # What cancels is rounded in terms of the auxiliary gradient.
    atol = 2.0**-22 * auxiliary
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=atol)
    found = ops.convert_to_numpy(aggregator(rows))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=atol)


def test_groups_of_zeros_hide_no_conflict_of_small_gradients():
    small = np.float32(1e-20)
    columns = [
        [small * np.float32([1, 2]), small * np.float32([-1, -1])],
        [np.zeros(3, "float32")] * 2,
    ]
    found = combine(Sum(granularity="variable"), columns, [0, 1], objectives(2))
    gram = ops.convert_to_numpy(found.gram)
    unit = np.float64(ops.convert_to_numpy(found.unit))
    np.testing.assert_allclose(
        gram * unit**2, 1e-40 * np.float64([[5, -3], [-3, 2]]), rtol=1e-5
    )


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
def test_bound_of_the_sum_holds_for_squares_out_of_range(size):
    columns = make_columns(tasks=2, seed=2)
    columns = [[np.float32(size) * g for g in column] for column in columns]
    total = flat(columns).astype("float64").sum(axis=0)
    expected = total / max(np.linalg.norm(total), 1.0)
    found = combine(Sum(max_norm=1.0), columns, [0] * 3, objectives(2))
    atol = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(flat_result(found), expected, atol=atol)


@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_bargain_is_as_long_as_it_says(size):
    columns = make_columns(seed=2)
    expected = flat_result(
        combine(aggregators.NashMTL(), columns, [0] * 3, objectives())
    )
    columns = [[np.float32(size) * g for g in column] for column in columns]
    found = combine(aggregators.NashMTL(), columns, [0] * 3, objectives())
    np.testing.assert_allclose(flat_result(found), expected, atol=1e-5)


def test_what_is_not_finite_stays_so():
    columns = make_columns()
    columns[0][1][0, 0] = np.inf
    combined = combine(MGDA(), columns, [0, 0, 0], objectives())
    assert not np.isfinite(flat_result(combined)).all()


def test_groups_are_combined_on_their_own():
    columns = make_columns(tasks=2, seed=4)
    combined = combine(PCGrad(seed=0), columns, [0, 1, 1], objectives(2))
    for members in ([0], [1, 2]):
        first, second = flat([columns[v] for v in members])
        dot = first @ second
        expected = first + second
        if dot < 0:
            expected = first - dot / (second @ second) * second
            expected = expected + second - dot / (first @ first) * first
        got = [ops.convert_to_numpy(combined.gradients[v]) for v in members]
        np.testing.assert_allclose(
            np.concatenate([g.ravel() for g in got]), expected, atol=1e-5
        )


def test_methods_on_rows_get_each_group_as_one_matrix():
    columns = make_columns()
    combined = combine(CoordinateMedian(), columns, [0, 0, 0], objectives())
    np.testing.assert_allclose(
        flat_result(combined), np.median(flat(columns), axis=0), atol=1e-6
    )
    assert [g.shape for g in combined.gradients] == SHAPES


@pytest.mark.parametrize(
    "make", [LossProportionalRows, LossProportionalEntries]
)
def test_methods_on_rows_get_the_losses_of_their_tasks(make):
    columns = make_columns()
    columns[1][0] = None
    combined = combine(make(), columns, [0, 0, 0], objectives())
    for column, gradient in zip(columns, combined.gradients):
        present = [
            (loss, g) for loss, g in zip(LOSSES, column) if g is not None
        ]
        expected = sum(loss * np.asarray(g) for loss, g in present)
        np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_heads_and_unreached_variables_pass_through():
    columns = make_columns()
    columns[1][0] = columns[1][2] = None
    columns[2] = [None, None, None]
    combined = combine(MGDA(), columns, [0, 0, 0], objectives())
    np.testing.assert_array_equal(combined.gradients[1], columns[1][1])
    assert combined.gradients[2] is None
    # The head is no part of the inner products.
    rows = flat(columns[:1])
    np.testing.assert_allclose(combined.gram, rows @ rows.T, rtol=1e-4)


ABSENT = [
    aggregators.Sum,
    lambda: aggregators.Sum(max_norm=1.0),
    aggregators.Mean,
    lambda: aggregators.PCGrad(seed=0),
    aggregators.MGDA,
    lambda: aggregators.MGDA("l2"),
    lambda: aggregators.CAGrad(c=0.4),
    aggregators.IMTLG,
    aggregators.NashMTL,
    aggregators.FairGrad,
    aggregators.AlignedMTL,
    aggregators.UPGrad,
    aggregators.DualProj,
    aggregators.ConFIG,
    lambda: aggregators.CRMOGM("cagrad"),
    lambda: aggregators.Projection(0, smoothing=1.0),
]


@pytest.mark.parametrize("make", ABSENT)
def test_an_absent_task_leaves_the_others_as_they_were(make):
    columns = make_columns(tasks=2, seed=3)
    with_absent = [[*column, np.zeros_like(column[0])] for column in columns]
    present = np.array([True, True, False])
    updates = []
    for rows, here in ((columns, None), (with_absent, present)):
        aggregator, tasks = make(), len(rows[0])
        aggregator.build(spec(tasks))
        result = combine(
            aggregator, rows, [0, 0, 0], objectives(tasks, present=here)
        )
        updates.append(flat_result(result))
    alone, beside = updates
    # Means are over all tasks, of which one gives nothing.
    length = np.linalg.norm(beside) / np.linalg.norm(alone)
    assert min(abs(length - 1), abs(length - 2 / 3)) < 1e-3
    cosine = alone @ beside / np.linalg.norm(alone) / np.linalg.norm(beside)
    assert cosine > 1 - 1e-5


def test_nothing_shared_is_an_error():
    columns = [[np.ones(2, "float32"), None], [None, np.ones(2, "float32")]]
    with pytest.raises(ValueError, match="No variable is reached by two"):
        combine(Sum(), columns, [0, 0], objectives(2))


def test_aggregators_do_not_see_the_loss_scale():
    scale = 2.0**15
    columns = make_columns(seed=7)
    scaled = [[g * scale for g in column] for column in columns]
    aggregators = [
        Projection(main_task=0, smoothing=0.1, granularity="model")
        for _ in range(2)
    ]
    for aggregator in aggregators:
        aggregator.build(spec(3))
    plain = combine(aggregators[0], columns, [0, 0, 0], objectives())
    lifted = combine(aggregators[1], scaled, [0, 0, 0], objectives(scale=scale))
    np.testing.assert_allclose(
        flat_result(lifted) / scale, flat_result(plain), rtol=1e-4, atol=1e-5
    )
    for slot, other in zip(*(a.reference for a in aggregators)):
        np.testing.assert_allclose(slot, other, rtol=1e-5)
    assert (float(lifted.unit), float(plain.unit)) == (1 / scale, 1)
    np.testing.assert_allclose(
        ops.convert_to_numpy(lifted.gram) / scale**2, plain.gram, rtol=1e-4
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "make, arguments",
    [
        (aggregators.Sum, {}),
        (aggregators.GradDrop, {"seed": 0}),
        (aggregators.WeightedCosine, {"main_task": 0, "smoothing": 0.3}),
        (aggregators.MoCo, {}),
    ],
)
def test_gradients_are_of_the_type_of_the_variables(make, arguments, dtype):
    """A method may remember in float32. Other losses are added to it."""

    def combined(columns):
        aggregator = make(**arguments)
        aggregator.build(spec(3))
        found = combine(aggregator, columns, [0, 0, 0], objectives())
        return [ops.cast(g, "float32") for g in found.gradients], found

    columns = [[ops.cast(g, dtype) for g in c] for c in make_columns()]
    exact = [[ops.cast(g, "float32") for g in c] for c in columns]
    gradients, found = combined(columns)
    for gradient in found.gradients:
        assert keras.backend.standardize_dtype(gradient.dtype) == dtype
    for one, other in zip(gradients, combined(exact)[0]):
        # Half a unit in the last place of the type, rounded once.
        np.testing.assert_allclose(one, other, rtol=2**-8, atol=1e-6)


def test_methods_on_rows_do_not_see_the_loss_scale():
    columns = make_columns()
    scaled = [[g * 1024 for g in column] for column in columns]

    class Clip(Aggregator):
        sees = "gradients"

        def combine(self, jacobian, step):
            return ops.clip(ops.sum(jacobian, axis=0), -1.0, 1.0)

    plain = combine(Clip(), columns, [0, 0, 0], objectives())
    lifted = combine(Clip(), scaled, [0, 0, 0], objectives(scale=1024.0))
    np.testing.assert_allclose(
        flat_result(lifted) / 1024, flat_result(plain), rtol=1e-5
    )


@pytest.mark.parametrize(
    "aggregator", [MGDA(), PCGrad(seed=0), Projection(0, smoothing=1.0)]
)
def test_a_task_without_labels_does_not_hinder_the_others(aggregator):
    """Its gradient is zero, which is the shortest combination of all."""
    columns = make_columns()
    for column in columns:
        column[2] = np.zeros_like(column[2])
    present = ops.array([True, True, False])
    two = [column[:2] for column in columns]
    expected = combine(aggregator, two, [0, 0, 0], objectives(2))
    combined = combine(
        aggregator, columns, [0, 0, 0], objectives(present=present)
    )
    np.testing.assert_allclose(
        flat_result(combined), flat_result(expected), rtol=1e-4, atol=1e-5
    )
    assert np.any(flat_result(combined) != 0)


@pytest.mark.parametrize("wrong", ["weights", "combine"])
def test_results_of_the_wrong_shape_name_the_method(wrong):
    class Scalar(Aggregator):
        def weights(self, gram):
            return ops.ones((3,))

    class Column(Aggregator):
        sees = "gradients"

        def combine(self, jacobian, step):
            return jacobian

    aggregator = Scalar() if wrong == "weights" else Column()
    with pytest.raises(ValueError, match=f"{wrong}.*should return one"):
        combine(aggregator, make_columns(), [0, 0, 0], objectives())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
