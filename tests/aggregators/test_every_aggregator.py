"""What is asked of every aggregator, and what each promises."""

import functools
import inspect
import json

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from docs import make_methods_table
from keras_mtl import MultiTaskModel
from keras_mtl import aggregators
from keras_mtl import testing
from keras_mtl.aggregators import Aggregator
from keras_mtl.methods import GradientSpec
from tests.aggregators import methods
from tests.aggregators.methods import METHODS
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

IS_JAX = keras.backend.backend() == "jax"
# Every number of tasks is compiled anew, which takes long on JAX.
SIZES = (5,) if IS_JAX else (2, 5)
BASES = {
    "Aggregator",
    "DoubleSampling",
    "MainTaskAggregator",
    "PreferenceAggregator",
}
# Of Gram matrices and of coordinates: the others have files of their own, and
# `pytest --full` tries all.
QUICK = ("PCGrad()", "GradDrop()")
PROPERTIES = ("non_conflicting", "permutation", "scale", "stationary")
WELL_APART = ("normal", "agreeing", "uneven", "tiny", "huge")
INDEPENDENT = (*WELL_APART, "conflicting", "orthonormal")
# Of gradients that cancel, some weights are large and of rounding, which is
# another in a batch.
CANCELLING = (
    "opposed",
    "stationary",
    "one_line",
    "surrounding",
    "nearly_opposed",
    "nearly_dependent",
)
# Where a promise goes less far than to all: the kinds of the zoo it goes to.
KINDS = {
    methods.INDEPENDENT: INDEPENDENT,
    methods.UNTIED: WELL_APART,
    methods.ROUNDED: WELL_APART,
}


class Later(Aggregator):
    """A method that remembers, after two steps with other gradients.

    What these are does not depend on the order or the scale of the tasks.
    """

    sees = "gradients"

    def __init__(self, method, shape):
        super().__init__()
        self.method = self.add_method("method", method)
        method.build(spec_of(shape))

    def combine(self, jacobian, step=None):
        jacobian = ops.convert_to_tensor(jacobian)
        size = ops.maximum(ops.max(ops.abs(jacobian)), 1e-30)
        squares = jacobian * ops.abs(jacobian / size)
        for rows in (ops.abs(squares), squares, jacobian):
            update = combine(self.method, rows)
        return update


def combine(method, rows):
    """The update, of losses of one for methods that look at losses."""
    return method(rows, losses=ops.ones((np.shape(rows)[:1] or (1,))))


def spec_of(shape):
    names = tuple(f"task_{t}" for t in range(shape[0]))
    return GradientSpec(shape[0], (), (shape[1:],), names)


@functools.cache
def subject(name, size):
    """The method, once for all tests, so that it is compiled once."""
    return METHODS[name].make(size)


@functools.cache
def later_subject(name, size):
    later = Later(METHODS[name].make(size), (size, 2 * size))
    return later if later.method.remembers else subject(name, size)


def sizes_of(entry):
    return [size for size in SIZES if size >= entry.fewest]


def stationary(size):
    """Gradients of which a combination with positive weights vanishes."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3, size - 1, 2 * size))
    shares = rng.uniform(0.5, 2.0, (3, 1, size - 1))
    rows = np.concatenate([rows, -shares @ rows], axis=1).astype("float32")
    return {f"stationary_{size}_{draw}": r for draw, r in enumerate(rows)}


@functools.cache
def zoo(size):
    """All of one shape, `[T, 2 T]`."""
    padded = {
        name: np.pad(rows, ((0, 0), (0, 2 * size - rows.shape[1])))
        for name, rows in testing.jacobians((size,)).items()
    }
    orthonormal = np.eye(size, 2 * size, dtype="float32")
    return {
        **padded,
        **stationary(size),
        f"orthonormal_{size}": orthonormal,
    }


def promised(extent, matrix, size):
    if extent == methods.TWO_TASKS:
        return size == 2
    if extent in KINDS:
        return matrix.startswith(KINDS[extent])
    return extent == methods.YES


def check(name, prop, size, rows):
    method = later_subject(name, size)
    if prop == "scale":
        # float32 still holds the squares of what is smaller than the largest.
        scales = (1e-12, 1e-3, 1e12)
        testing.assert_scale_invariant(method, rows, scales)
    elif prop == "permutation":
        testing.assert_permutation_equivariant(method, rows)
    elif prop == "stationary":
        testing.assert_stationary(method, rows)
    else:
        testing.assert_non_conflicting(method, rows)


def test_table_has_every_aggregator():
    classes = {
        name
        for name in aggregators.__all__
        if inspect.isclass(getattr(aggregators, name)) and name not in BASES
    }
    assert classes == {type(subject(name, 5)).__name__ for name in METHODS}


@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
def test_structure(name):
    for size in sizes_of(METHODS[name]):
        method = subject(name, size)
        testing.check_aggregator(method, [testing.assert_structure], zoo(size))
    # Of the largest size only, for each shape is compiled anew.
    apart = {
        matrix: rows
        for matrix, rows in zoo(size).items()
        if not matrix.startswith(CANCELLING)
    }
    testing.check_aggregator(method, [testing.assert_batched], apart)


@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
def test_public_check_by_default(name):
    rows = {kind: zoo(5)[kind] for kind in ("normal_5", "conflicting_5")}
    try:
        testing.check_aggregator(subject(name, 5), matrices=rows)
    except AssertionError as error:
        assert METHODS[name].scale == methods.NO
        assert "fails assert_scale_invariant" in str(error)


@pytest.mark.parametrize("name", METHODS)
def test_looks_at(name):
    entry = METHODS[name]
    method = entry.make(entry.fewest)
    if method.sees != "gram":
        assert entry.looks_at == methods.ROWS
    rows = zoo(entry.fewest)[f"normal_{entry.fewest}"]
    if entry.looks_at == methods.GRAM_AND_LOSSES:
        with pytest.raises(ValueError, match="losses"):
            method(rows)
    if not entry.has_weights:
        with pytest.raises(NotImplementedError):
            method.weights(rows @ rows.T)


def test_document_is_up_to_date():
    text = make_methods_table.PATH.read_text(encoding="utf-8")
    assert text == make_methods_table.text(), (
        "Run python -m docs.make_methods_table"
    )


@pytest.mark.parametrize("prop", PROPERTIES)
@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
def test_promise(name, prop):
    extent = getattr(METHODS[name], prop)
    broken = []
    for size in sizes_of(METHODS[name]):
        matrices = stationary(size) if prop == "stationary" else zoo(size)
        for matrix, rows in matrices.items():
            try:
                check(name, prop, size, rows)
            except AssertionError as error:
                broken.append(matrix)
                if promised(extent, matrix, size):
                    raise AssertionError(
                        f"{name}, {prop}, on {matrix!r}: {error}"
                    ) from error
    # JAX rounds in another way, and sees fewer sizes: it may break nothing.
    if extent != methods.YES and not IS_JAX:
        assert broken, f"{name} can promise more: {prop}"


MAIN_TASK = [
    name
    for name, entry in METHODS.items()
    if entry.permutation == methods.AUXILIARIES
]


@pytest.mark.parametrize("name", MAIN_TASK)
def test_order_of_auxiliaries(name):
    method = METHODS[name].make(4)
    rows = testing.jacobians((4,))["normal_4"]
    expected = ops.convert_to_numpy(method(rows))
    method = METHODS[name].make(4)
    update = ops.convert_to_numpy(method(rows[[0, 3, 1, 2]]))
    np.testing.assert_allclose(update, expected, atol=1e-5)


@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
def test_compiled(name):
    size = max(3, METHODS[name].fewest)
    testing.assert_compiled(
        later_subject(name, size), zoo(size)[f"normal_{size}"]
    )


def update_of(entry, rows):
    """The first update of a new method, op by op."""
    rows = ops.convert_to_tensor(rows)
    update = combine(entry.make(rows.shape[0]), rows)
    return ops.convert_to_numpy(update)


# Loops take long to compile for JAX, op by op or not; there is nothing in this
# that depends on the backend.
@pytest.mark.skipif(IS_JAX, reason="the same on TensorFlow, and faster")
@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
class TestDegenerate:
    def rows(self, entry):
        """Gradients that agree, more or less."""
        rng = np.random.default_rng(1)
        rows = 1 + rng.standard_normal((entry.fewest, 12))
        return rows.astype("float32")

    def cosine(self, left, right):
        left, right = left.astype("float64"), right.astype("float64")
        return left @ right / np.linalg.norm(left) / np.linalg.norm(right)

    def test_zero(self, name):
        entry = METHODS[name]
        rows = self.rows(entry)
        expected = update_of(entry, rows)
        update = update_of(entry, np.append(rows, 0 * rows[:1], axis=0))
        if np.linalg.norm(update) < 1e-3:
            found = methods.STOPS
        elif self.cosine(update, expected) > 1 - 1e-6:
            found = methods.IGNORED
        else:
            found = methods.COUNTS
        assert entry.zero in (found, methods.DEPENDS)

    def test_duplicate(self, name):
        entry = METHODS[name]
        rows = self.rows(entry)
        expected = update_of(entry, rows)
        update = update_of(entry, np.append(rows, rows[-1:], axis=0))
        once = self.cosine(update, expected) > 1 - 1e-6
        found = methods.ONCE if once else methods.TWICE
        assert entry.duplicate in (found, methods.DEPENDS)

    def test_opposed(self, name):
        entry = METHODS[name]
        rows = self.rows(entry)
        first = rows[0] / np.linalg.norm(rows[0])
        rows[1] = -2 * rows[0]
        rows[2:] -= (rows[2:] @ first)[:, None] * first
        left = np.abs(update_of(entry, rows) @ first)
        nothing = left < 1e-3 * np.linalg.norm(rows[1])
        found = methods.NOTHING if nothing else methods.SOMETHING
        assert entry.opposed in (found, methods.DEPENDS)


@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
def test_not_finite_stays_so(name):
    entry = METHODS[name]
    rows = zoo(entry.fewest)[f"normal_{entry.fewest}"]
    method = entry.make(entry.fewest)
    combine(method, ops.convert_to_tensor(rows))
    broken = np.where(np.arange(rows.shape[1]) == 1, np.nan, rows)
    update = combine(method, ops.convert_to_tensor(broken.astype("float32")))
    assert not np.isfinite(ops.convert_to_numpy(update)).all()
    for variable in method.variables:
        assert np.isfinite(ops.convert_to_numpy(variable)).all()
    update = combine(method, ops.convert_to_tensor(rows))
    assert np.isfinite(ops.convert_to_numpy(update)).all()


@pytest.mark.skipif(IS_JAX, reason="nothing in it depends on it")
@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 3, 1)])
@pytest.mark.parametrize("name", METHODS)
def test_what_is_no_jacobian_is_refused(name, shape):
    method = METHODS[name].make(METHODS[name].fewest)
    with pytest.raises(ValueError, match=r"`jacobian` must have the gradient"):
        combine(method, np.zeros(shape, "float32"))


@pytest.mark.skipif(IS_JAX, reason="nothing in it depends on it")
@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
def test_integers_are_taken_as_numbers(name):
    entry = METHODS[name]
    rows = np.random.default_rng(0).integers(-5, 6, (entry.fewest, 12))
    found = ops.convert_to_numpy(combine(entry.make(len(rows)), rows))
    expected = update_of(entry, rows.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(IS_JAX, reason="JAX computes in 32 bits")
@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
def test_float64(name):
    entry = METHODS[name]
    rows = zoo(entry.fewest)[f"normal_{entry.fewest}"]
    update = update_of(entry, rows.astype("float64"))
    # What remembers gradients does so in float32, as training has them.
    if not entry.make(entry.fewest).transforms:
        assert update.dtype == "float64"
    np.testing.assert_allclose(update, update_of(entry, rows), atol=1e-4)


@pytest.mark.parametrize("name", slow_except(METHODS, *QUICK))
def test_a_call_takes_losses(name):
    """One call serves all: whoever compares methods need not know each."""
    fewest = max(3, METHODS[name].fewest)
    rows = np.random.default_rng(0).standard_normal((fewest, 4))
    rows = rows.astype("float32")
    losses = np.ones(fewest, "float32")
    update = METHODS[name].make(fewest)(rows, losses=losses)
    assert np.isfinite(ops.convert_to_numpy(update)).all()


@pytest.mark.parametrize("name", METHODS)
def test_config(name):
    method = METHODS[name].make(5)
    config = json.loads(json.dumps(aggregators.serialize(method)))
    copy = aggregators.deserialize(config)
    assert type(copy) is type(method)
    assert copy.get_config() == method.get_config()


def small_model(aggregator, num_tasks):
    inputs = keras.Input((3,))
    shared = layers.Dense(2, name="shared")(inputs)
    names = [f"task_{t}" for t in range(num_tasks)]
    model = MultiTaskModel(
        inputs, {name: layers.Dense(1, name=name)(shared) for name in names}
    )
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=dict.fromkeys(names, "mse"),
        aggregator=aggregator,
        run_eagerly=True,
    )
    return model


def has_state(method):
    # Those of a random generator are there from the start.
    later = type(method).from_config(method.get_config())
    later.build(spec_of((5, 2)))
    return bool(later.variables)


REMEMBERING = [name for name in METHODS if has_state(subject(name, 5))]


@pytest.mark.parametrize("name", slow_except(REMEMBERING, *REMEMBERING[::4]))
def test_resumed_training_is_uninterrupted(name, tmp_path):
    num_tasks = max(3, METHODS[name].fewest)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 3)).astype("float32")
    y = {
        f"task_{t}": rng.standard_normal((2, 4, 1)).astype("float32")
        for t in range(num_tasks)
    }
    model = small_model(METHODS[name].make(num_tasks), num_tasks)
    model.train_on_batch(x[0], {key: value[0] for key, value in y.items()})
    model.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    state = [ops.convert_to_numpy(v) for v in model.aggregator.variables]
    restored = [ops.convert_to_numpy(v) for v in resumed.aggregator.variables]
    assert len(state) == len(restored)
    for left, right in zip(state, restored):
        np.testing.assert_array_equal(left, right)
    for one in (model, resumed):
        one.train_on_batch(x[1], {key: value[1] for key, value in y.items()})
    for left, right in zip(model.get_weights(), resumed.get_weights()):
        assert np.isfinite(left).all()
        np.testing.assert_allclose(left, right, atol=1e-6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
