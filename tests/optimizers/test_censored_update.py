"""CensoredUpdate: any vector in the place of an auxiliary gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import keras_mtl
from keras_mtl.aggregators import Orthogonal
from keras_mtl.aggregators import Projection
from keras_mtl.optimizers import CensoredUpdate
from keras_mtl.optimizers import censored_update

pytestmark = pytest.mark.backend


@keras.saving.register_keras_serializable(package="test_censored_update")
class Fixed(CensoredUpdate):
    """Always the same vectors, by the length of the variable."""

    vectors: dict = {}

    def auxiliary_vectors(self, variables):
        return [self.vectors.get(tuple(v.shape)) for v in variables]


def one_step(vector, gradient, **kwargs):
    """What one step subtracts from a variable, with SGD of rate 0.5."""
    variable = keras.Variable(np.zeros(np.shape(vector)), dtype="float32")
    optimizer = Fixed(keras.optimizers.SGD(0.5), **kwargs)
    optimizer.vectors = {tuple(variable.shape): ops.array(vector, "float32")}
    optimizer.apply([ops.array(gradient, "float32")], [variable])
    return -ops.convert_to_numpy(variable)


@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize(
    "rule, left",
    [
        (Projection, [0.0, 1.0]),
        (Orthogonal, [0.0, 1.0]),
        (keras_mtl.aggregators.UnweightedCosine, [0.0, 0.0]),
        (keras_mtl.aggregators.WeightedCosine, [0.0, 0.0]),
        (None, [-1.0, 1.0]),
    ],
)
def test_a_step_is_the_gradient_and_what_is_left_of_the_vector(
    rule, left, decoupled
):
    rule = rule and rule("main", smoothing=1.0)
    step = one_step(
        [-1.0, 1.0], [1.0, 0.0], weight=3.0, rule=rule, decoupled=decoupled
    )
    expected = 0.5 * (np.array([1.0, 0.0]) + 3.0 * np.array(left))
    np.testing.assert_allclose(step, expected, atol=1e-6)


def test_parameters_are_censored_one_by_one():
    rule = Projection("main", smoothing=1.0, granularity="parameter")
    vector = [[-1.0, 2.0], [3.0, -4.0]]
    gradient = [[1.0, 1.0], [0.0, -1.0]]
    step = one_step(vector, gradient, weight=1.0, rule=rule)
    # Opposed: the first. Where the gradient is zero, all passes.
    left = np.array([[0.0, 2.0], [3.0, -4.0]])
    np.testing.assert_allclose(step, 0.5 * (gradient + left), atol=1e-6)


@pytest.mark.parametrize(
    "granularity, left",
    [("variable", [[0.0, 0.0], [3.0, 0.0]]), ("model", [[-1, 0], [3.0, 0.0]])],
)
def test_granularity_says_what_is_one_vector(granularity, left):
    a = keras.Variable(np.zeros(2), dtype="float32")
    b = keras.Variable(np.zeros(2), dtype="float32")
    rule = Projection("main", smoothing=1.0, granularity=granularity)
    optimizer = Fixed(keras.optimizers.SGD(1.0), weight=1.0, rule=rule)
    vectors = ops.array([[-1.0, 0.0], [3.0, 0.0]])
    optimizer.auxiliary_vectors = lambda variables: [vectors[0], vectors[1]]
    gradient = ops.array([1.0, 0.0])
    optimizer.apply([gradient, gradient], [a, b])
    for variable, expected in zip((a, b), left, strict=True):
        np.testing.assert_allclose(
            -ops.convert_to_numpy(variable), np.array([1.0, 0.0]) + expected
        )


def test_smoothing_compares_with_the_average_of_the_gradients():
    rule = Projection("main", smoothing=0.25, granularity="variable")
    variable = keras.Variable(np.zeros(2), dtype="float32")
    optimizer = Fixed(keras.optimizers.SGD(1.0), weight=1.0, rule=rule)
    optimizer.vectors = {(2,): ops.array([-1.0, -1.0])}
    gradients = np.array([[4.0, 0.0], [0.0, 4.0], [-1.0, 2.0]])
    average = np.zeros(2)
    expected = np.zeros(2)
    for gradient in gradients:
        average = 0.25 * gradient + 0.75 * average
        u = np.array([-1.0, -1.0])
        u = u - min(u @ average, 0) / (average @ average) * average
        assert u @ average > -1e-12
        expected -= gradient + u
        optimizer.apply([ops.array(gradient, "float32")], [variable])
    np.testing.assert_allclose(
        ops.convert_to_numpy(variable), expected, rtol=1e-5
    )


def test_variables_without_gradient_or_vector_keep_the_inner_step():
    a = keras.Variable(np.ones(2), dtype="float32", name="a")
    b = keras.Variable(np.ones(3), dtype="float32", name="b")
    optimizer = Fixed(keras.optimizers.SGD(1.0), weight=1.0)
    optimizer.vectors = {(2,): ops.array([5.0, 5.0])}
    optimizer.build([a, b])
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([None, ops.array([1.0, 1.0, 1.0])], [a, b])
    np.testing.assert_array_equal(ops.convert_to_numpy(a), 1.0)
    np.testing.assert_array_equal(ops.convert_to_numpy(b), 0.0)


def make_model():
    inputs = keras.Input((3,))
    hidden = layers.Dense(4, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(1)(hidden))


@keras.saving.register_keras_serializable(package="test_censored_update")
class Shrink(CensoredUpdate):
    def auxiliary_vectors(self, variables):
        return list(variables)


DATA = np.random.default_rng(0).normal(size=(2, 24, 3)).astype("float32")
X, Y = DATA[0], DATA[1][:, :1]


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("cls", [keras.Model, keras_mtl.MultiTaskModel])
def test_saved_and_loaded_it_goes_on_as_if_it_had_not_stopped(
    tmp_path, cls, jit_compile
):
    def compiled():
        keras.utils.set_random_seed(1)
        model = make_model()
        model = cls(model.input, model.output)
        rule = Projection("main", smoothing=0.1, granularity="layer")
        model.compile(
            Shrink(keras.optimizers.Adam(0.01), weight=2.0, rule=rule),
            loss="mse",
            jit_compile=jit_compile,
        )
        return model

    fit = {"batch_size": 8, "shuffle": False, "verbose": 0}
    whole = compiled()
    whole.fit(X, Y, epochs=4, **fit)
    first = compiled()
    first.fit(X, Y, epochs=2, **fit)
    first.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.optimizer.get_config() == first.optimizer.get_config()
    loaded.fit(X, Y, epochs=2, **fit)
    for a, b in zip(whole.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow"
)
def test_a_checkpoint_of_tensorflow_has_the_average(tmp_path):
    def trained(epochs):
        model = make_model()
        model.compile(Shrink("adam", 2.0), "mse", run_eagerly=True)
        model.fit(X, Y, epochs=epochs, verbose=0)
        return model, tf.train.Checkpoint(optimizer=model.optimizer)

    (first, saved), (other, restored) = trained(2), trained(1)
    restored.restore(saved.save(tmp_path / "step"))
    average, again = first.optimizer.variables, other.optimizer.variables
    for left, right in zip(average, again, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(left), ops.convert_to_numpy(right)
        )


def test_each_variable_is_there_once():
    rule = Projection("main", smoothing=0.1)
    optimizer = Shrink(keras.optimizers.Adam(0.1), 1.0, rule)
    model = make_model()
    optimizer.build(model.trainable_variables)
    ids = [id(v) for v in optimizer.variables]
    assert len(ids) == len(set(ids))
    assert {id(v) for v in rule.variables} <= set(ids)


@pytest.mark.slow
def test_learning_rate_and_steps_are_those_of_the_inner_optimizer():
    inner = keras.optimizers.Adam(0.01)
    model = make_model()
    model.compile(Shrink(inner, weight=1.0), loss="mse")
    schedule = keras.callbacks.LearningRateScheduler(lambda e: 0.5**e)
    model.fit(X, Y, epochs=3, batch_size=8, verbose=0, callbacks=[schedule])
    assert float(inner.learning_rate) == 0.25
    assert int(model.optimizer.iterations) == int(inner.iterations) == 9


def test_a_schedule_moves_the_update_too():
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.1])
    variable = keras.Variable(np.ones(1), dtype="float32")
    optimizer = Shrink(keras.optimizers.SGD(rate), weight=0.5, rule=None)
    seen = []
    for _ in range(2):
        optimizer.apply([ops.zeros(1)], [variable])
        seen.append(float(variable[0]))
    np.testing.assert_allclose(seen, [0.5, 0.475], rtol=1e-6)


@pytest.mark.slow
def test_mixed_precision_keeps_the_average_finite():
    keras.config.set_dtype_policy("mixed_float16")
    model = make_model()
    model.compile(Shrink("adam", weight=1.0), loss="mse")
    wrapped = model.optimizer
    assert isinstance(wrapped, keras.optimizers.LossScaleOptimizer)
    wrapped.initial_scale = 1e30  # the first gradients are infinite
    model.fit(X, Y, epochs=30, batch_size=8, verbose=0)
    rule = wrapped.inner_optimizer.rule
    largest = max(np.abs(ops.convert_to_numpy(v)).max() for v in rule.variables)
    assert 0 < largest < 10


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"weight": -1}, "`weight` must be a number from 0 up"),
        ({"weight": float("nan")}, "`weight`"),
        ({"weight": "1"}, "`weight`"),
        ({"weight": 1, "decoupled": "yes"}, "`decoupled` must be True or"),
        ({"weight": 1, "rule": "pcgrad"}, "`rule` must be an aggregator with"),
        ({"weight": 1, "rule": Projection}, "`rule` must be an aggregator"),
        ({"weight": 1, "rule": Projection("loss")}, "must be one of the tasks"),
        ({"weight": 1, "rule": Projection(1)}, "must be 'main'"),
        (
            {"weight": 1, "rule": Projection(0, 1.0, "model", scope="all")},
            "`rule` must have `scope",
        ),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Shrink(keras.optimizers.SGD(), **kwargs)


@pytest.mark.parametrize(
    "inner, message",
    [
        (None, "must be one optimizer"),
        (keras.optimizers.SGD(loss_scale_factor=2.0), "`loss_scale_factor`"),
        (
            keras.optimizers.SGD(gradient_accumulation_steps=2),
            "`gradient_accumulation_steps`",
        ),
        (
            keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
            "Wrap the other way round",
        ),
    ],
)
def test_inner_optimizers_that_change_the_gradient_are_refused(inner, message):
    with pytest.raises(ValueError, match=message):
        Shrink(inner, weight=1.0)


def test_a_rule_serves_one_optimizer():
    rule = Projection("main")
    Shrink("sgd", 1.0, rule).build([keras.Variable(np.ones(2))])
    second = Shrink("sgd", 1.0, rule)
    for _ in range(2):
        with pytest.raises(ValueError, match="already serves another"):
            second.build([keras.Variable(np.ones(2))])


@pytest.mark.slow
@pytest.mark.parametrize("decoupled", [True, False])
def test_embeddings_have_gradients_of_a_few_rows(decoupled):
    def weights(embed):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((2,), dtype="int32")
        model = keras.Model(inputs, layers.Dense(1)(embed(inputs)))
        optimizer = Shrink(keras.optimizers.SGD(0.1), 0.5, decoupled=decoupled)
        model.compile(optimizer, "mse")
        ids = np.array([[0, 3], [3, 1]])
        model.fit(ids, np.ones((2, 2, 1)), epochs=3, verbose=0)
        return model.get_weights()

    table = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    constant = keras.initializers.Constant(table)
    sparse = weights(layers.Embedding(5, 3, embeddings_initializer=constant))
    dense = layers.Dense(3, use_bias=False, kernel_initializer=constant)
    whole = weights(lambda ids: dense(ops.one_hot(ids, 5)))
    for a, b in zip(sparse, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ["projection", None])
@pytest.mark.parametrize("vector", [np.ones(()), np.ones(3), np.ones((1, 3))])
def test_shapes_of_vectors_are_checked(rule, vector):
    optimizer = Shrink("sgd", 1.0, rule)
    optimizer.auxiliary_vectors = lambda variables: [ops.array(vector)]
    variable = keras.Variable(np.ones((2, 3)), name="kernel")
    with pytest.raises(ValueError, match=r"\(2, 3\) for 'kernel'"):
        optimizer.apply([ops.ones((2, 3))], [variable])


def test_the_number_of_vectors_is_checked():
    optimizer = Shrink("sgd", 1.0)
    optimizer.auxiliary_vectors = lambda variables: []
    variable = keras.Variable(np.ones(2))
    with pytest.raises(ValueError, match="one entry for each variable, 1"):
        optimizer.apply([ops.ones(2)], [variable])


def test_replicas_are_refused(monkeypatch):
    monkeypatch.setattr(censored_update, "num_replicas", lambda: 2)
    with pytest.raises(ValueError, match="Received: 2 replicas"):
        Shrink("sgd", 1.0).apply([ops.ones(2)], [keras.Variable(np.ones(2))])


def test_the_base_class_says_what_to_override():
    optimizer = CensoredUpdate("sgd", weight=1.0)
    with pytest.raises(NotImplementedError, match="auxiliary_vectors"):
        optimizer.apply([ops.ones(2)], [keras.Variable(np.ones(2))])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
