"""What methods remember of a step that is not taken: nothing."""

import keras
import numpy as np
import pytest

import keras_mtl
from keras_mtl.methods import GradientSpec
from tests.aggregators.methods import METHODS
from tests.tiers import slow_except
from tests.weightings.methods import WEIGHTINGS

pytestmark = [
    pytest.mark.backend,
    # Batches that are not taken are what is tried.
    pytest.mark.filterwarnings("ignore:.* became NaN or infinite"),
]

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
WITHOUT_XLA = {"jit_compile": False} if ON_TENSORFLOW else {}
# A few steps take less time than tracing one.
EAGER = {"run_eagerly": True} if ON_TENSORFLOW else {}
TASKS = ("task_0", "task_1")
ROWS = 8
GOOD = 40
BAD_LABELS = (1e22, np.inf, np.nan)


def remembers(name):
    """Whether a method has state for two tasks."""
    if name in WEIGHTINGS:
        weighting = WEIGHTINGS[name].make()
        weighting.build(TASKS)
        return bool(weighting.variables)
    aggregator = METHODS[name].make(len(TASKS))
    try:
        aggregator.build(GradientSpec(2, (1,), ((4, 6),), TASKS))
    except ValueError as error:
        # Of more than two tasks only; these remember nothing.
        assert "number of tasks" in str(error)
    return bool(aggregator.variables)


# By what they are called in the tables of methods.
REMEMBERING = [name for name in [*METHODS, *WEIGHTINGS] if remembers(name)]
# Of one number, of rows, and of a weighting.
QUICK = ("PCGrad()", "MoCo()", "GradNorm()")


def method(name):
    """The arguments of `compile` for a method."""
    if name in METHODS:
        return {"aggregator": METHODS[name].make(len(TASKS))}
    return {"weighting": WEIGHTINGS[name].make()}


def make_model(compiled, optimizer, policy="float32"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(
        6, activation="tanh", dtype=policy, name="shared"
    )(inputs)
    outputs = {t: keras.layers.Dense(1, name=t)(shared) for t in TASKS}
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    model.compile(optimizer, **{"loss": "mse"} | WITHOUT_XLA | compiled)
    return model


def make_data(steps, bad=None):
    """Batches of `ROWS`; `bad` has a label for some of them, by place."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * ROWS, 4)).astype("float32")
    y = {t: rng.normal(size=(len(x), 1)).astype("float32") for t in TASKS}
    for place, label in (bad or {}).items():
        y["task_1"][place * ROWS + 3] = label
    return x, y


def state(model):
    return [np.asarray(v) for v in model.method_state.variables]


class Recorder(keras.callbacks.Callback):
    """State of the method, and steps that were taken, after each batch."""

    def __init__(self):
        super().__init__()
        self.states, self.taken = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.states.append(state(self.model))
        self.taken.append(int(np.asarray(self.model.optimizer.iterations)))


def record(model, x, y):
    recorder = Recorder()
    model.fit(
        x, y, batch_size=ROWS, shuffle=False, verbose=0, callbacks=[recorder]
    )
    taken = np.diff(recorder.taken, prepend=0).astype(bool)
    return recorder.states, taken


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def scaled(rate=0.01):
    return keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(rate), initial_scale=64.0
    )


@pytest.mark.parametrize("name", slow_except(REMEMBERING, *QUICK))
def test_a_batch_that_loss_scaling_skips_leaves_no_trace(name):
    first = 3
    places = [first + i * (GOOD + 1) for i in range(len(BAD_LABELS))]
    steps = places[-1] + GOOD + 1
    model = make_model(method(name), scaled(), "mixed_float16")
    x, y = make_data(steps, dict(zip(places, BAD_LABELS)))
    states, taken = record(model, x, y)
    good = np.setdiff1d(np.arange(steps), places)
    assert taken[good].all()
    for place in places:
        if taken[place]:
            # One over the loss, FAMO's weight is no overflow.
            assert name == "FAMO()" and place == places[0]
        else:
            assert same(states[place - 1], states[place])
    assert all(np.isfinite(value).all() for value in states[-1])
    moved = [
        any(not np.array_equal(s[i], states[0][i]) for s in states[1:])
        for i in range(len(states[0]))
    ]
    assert any(moved)


@pytest.mark.parametrize(
    "name", slow_except(["MoCo()", "GradNorm()"], "MoCo()")
)
def test_training_goes_on_as_if_the_batch_had_not_been(name):
    x, y = make_data(10, {4: np.nan})
    with_it = make_model(method(name) | EAGER, scaled())
    record(with_it, x, y)
    keep = np.arange(len(x)) // ROWS != 4
    without = make_model(method(name) | EAGER, scaled())
    record(without, x[keep], {t: labels[keep] for t, labels in y.items()})
    for one, other in zip(
        [*with_it.get_weights(), *state(with_it)],
        [*without.get_weights(), *state(without)],
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", slow_except(REMEMBERING, *QUICK))
def test_without_loss_scaling_state_stays_finite(name):
    model = make_model(method(name) | EAGER, keras.optimizers.SGD(0.01))
    states, _ = record(model, *make_data(5, {2: np.inf, 4: np.nan}))
    remembered = [not v.trainable for v in model.method_state.variables]
    for before, *after, counts in zip(*states[1:], remembered):
        if counts:
            for value in after:
                np.testing.assert_array_equal(value, before)


@keras.saving.register_keras_serializable(package="test_taken_step")
class Counting(keras_mtl.aggregators.Sum):
    """A method of a user, that knows nothing of steps that are skipped."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.count = self.add_state("count", dtype="int32")
        self.largest = self.add_state("largest")
        self.ever = self.add_state("ever", dtype="bool")

    def update(self, gram, step):
        largest = keras.ops.max(gram)
        self.count.assign(self.count + 1)
        self.largest.assign(keras.ops.maximum(self.largest, largest))
        self.ever.assign(self.largest > 1e9)
        return super().update(gram, step)


@pytest.mark.slow
@pytest.mark.parametrize("eager", [False, True])
def test_a_method_of_a_user_needs_no_guard(eager):
    if eager and not ON_TENSORFLOW:
        pytest.skip("JAX has the same step without tracing")
    compiled = {"aggregator": Counting(), "run_eagerly": eager}
    model = make_model(compiled, scaled())
    states, taken = record(model, *make_data(6, {2: np.inf, 4: np.nan}))
    assert taken.tolist() == [True, True, False, True, False, True]
    assert [int(s[0]) for s in states] == [1, 2, 2, 3, 3, 4]
    assert np.isfinite(states[-1][1]) and not states[-1][2]
    model = make_model({"aggregator": Counting(), "run_eagerly": eager}, "sgd")
    states, _ = record(model, *make_data(6, {4: np.nan}))
    assert [int(s[0]) for s in states][:5] == [1, 2, 3, 4, 4]
    assert np.isfinite(states[4][1]) and not states[4][2]


@keras.saving.register_keras_serializable(package="test_taken_step")
class Averaging(keras_mtl.weightings.Weighting):
    """A weighting of a user: weights by averages of losses, without guards."""

    def __init__(self, inverse, **kwargs):
        super().__init__(**kwargs)
        self.inverse = inverse

    def create_state(self, task_names):
        self.average = self.add_state("average", (len(task_names),), "ones")

    def weights(self, losses):
        self.average.assign(0.9 * self.average + 0.1 * losses)
        if not self.inverse:
            # Zero times an infinite average would be the end of the model.
            return keras.ops.ones_like(losses)
        return 1.0 / (1.0 + self.inverse * self.average)


@pytest.mark.slow
@pytest.mark.parametrize("inverse", [0.0, 1.0])
@pytest.mark.parametrize("scaler", [False, True])
def test_no_infinite_loss_stays_in_a_step_that_is_taken(scaler, inverse):
    """Gradients are finite where their squares, the loss, are not."""
    optimizer = keras.optimizers.SGD(1e-3, clipvalue=1)
    if scaler:
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=64.0
        )
    # Of equal weights, and of 0 for the task of which the loss is infinite.
    model = make_model({"weighting": Averaging(inverse)}, optimizer)
    states, taken = record(model, *make_data(6, {2: 1e22}))
    assert taken[[0, 1, 3, 4, 5]].all()
    assert same(states[1], states[2])
    assert all(np.isfinite(s[0]).all() for s in states)
    assert not same(states[2], states[3])
    assert all(np.isfinite(w).all() for w in model.get_weights())


# PCD remembers squares themselves, and not those that float32 does not have.
SCALE_FREE = [
    name
    for name in REMEMBERING
    if name in METHODS and METHODS[name].make(2).scale_free
]
SCALE_FREE.remove("PCD(main_task)")


@pytest.mark.parametrize(
    "name", slow_except(SCALE_FREE, "PCGrad()", "Projection(main_task)")
)
def test_scale_free_methods_go_on_where_squares_are_out_of_range(name):
    # Powers of two, by which nothing is rounded in another way.
    small, large = [
        make_model(
            method(name)
            | {
                "loss": dict.fromkeys(TASKS, "mse"),
                "loss_weights": dict.fromkeys(TASKS, scale),
            },
            keras.optimizers.SGD(0.01 / scale),
        )
        for scale in (1.0, 2.0**70)
    ]
    x, y = make_data(4)
    expected, _ = record(small, x, y)
    found, _ = record(large, x, y)
    for one, other in zip(expected, found, strict=True):
        for a, b in zip(one, other, strict=True):
            # What is made of gradients is as large as these.
            unit = 2.0**70 if np.abs(b).max() > 1e12 else 1.0
            np.testing.assert_allclose(a, b / unit, rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
