"""Weighting by uncertainty: closed forms, and both ways of training it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import weightings
from keras_mtl.model import MultiTaskModel
from keras_mtl.weightings import Uncertainty
from tests.tiers import slow

LOSSES = np.array([0.5, 8.0], "float32")


def built(**kwargs):
    weighting = Uncertainty(**kwargs)
    weighting.build(["a", "b"])
    return weighting


def test_starts_as_the_plain_losses():
    np.testing.assert_allclose(built().weighted_losses(LOSSES), LOSSES)


def test_both_forms():
    weighting = built(regression_tasks=["b"], initial_log_variance=1.0)
    expected = [
        np.exp(-1.0) * LOSSES[0] + 0.5,
        0.5 * np.exp(-1.0) * LOSSES[1] + 0.5,
    ]
    np.testing.assert_allclose(
        weighting.weighted_losses(LOSSES), expected, rtol=1e-6
    )


def test_optimum_is_the_closed_form():
    """Variance 2 L for a classification task, L for a regression task."""
    weighting = built(regression_tasks=["b"], learning_rate=0.2)
    for _ in range(300):
        weighting.update(LOSSES)
    variance = np.exp(keras.ops.convert_to_numpy(weighting.log_variance))
    np.testing.assert_allclose(variance, [1.0, 8.0], rtol=1e-4)


def test_bounds_stop_the_training():
    weighting = built(max_log_variance=0.5, learning_rate=0.2)
    for _ in range(300):
        weighting.update(LOSSES)
    values = keras.ops.convert_to_numpy(weighting.log_variance)
    assert values[1] >= 0.5 and values[1] < 2.0
    np.testing.assert_allclose(weighting.weights(LOSSES)[1], np.exp(-0.5))


def test_an_overflow_does_not_poison_the_state():
    weighting = built(learning_rate=0.1)
    weighting.update(np.array([np.inf, 1.0], "float32"))
    values = keras.ops.convert_to_numpy(weighting.log_variance)
    assert values[0] == 0 and np.isfinite(values[1]) and values[1] != 0


@pytest.mark.slow
@pytest.mark.parametrize("learning_rate", [None, 0.05])
def test_recovers_the_noise_of_two_regressions(learning_rate):
    """Kendall's toy problem: noise of 1 and of 10 standard deviations."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 1)).astype("float32")
    y = {
        "quiet": 2 * x + 1 + rng.normal(size=x.shape),
        "loud": 3 * x + 3 + 10 * rng.normal(size=x.shape),
    }
    inputs = keras.Input((1,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in y}
    model = MultiTaskModel(inputs, outputs)
    weighting = Uncertainty(list(y), learning_rate=learning_rate)
    model.compile(
        keras.optimizers.Adam(0.2),
        loss={name: "mse" for name in y},
        weighting=weighting,
        steps_per_execution=120,
    )
    # One epoch is thirty: what fit does between epochs takes long.
    x = np.tile(x, (30, 1))
    y = {name: np.tile(target, (30, 1)) for name, target in y.items()}
    model.fit(x, y, batch_size=128, epochs=4, verbose=0)
    deviation = np.exp(keras.ops.convert_to_numpy(weighting.log_variance) / 2)
    np.testing.assert_allclose(deviation, [1.0, 10.0], rtol=0.1)


# -- what is trained ----------------------------------------------------------

REGRESSION = np.array([False, True])
RATE = 0.03


def authors_rule(parameterization, losses, steps, low=-np.inf, high=np.inf):
    """Where gradient descent is after each step, in float64 and by hand.

    Returns log(sigma) or log(sigma^2), from a log(sigma) of 1, as the authors
    of the parameterization write their loss.
    """
    losses = np.asarray(losses, "float64")
    if parameterization == "log_sigma":
        # L / exp(2 s) + s, and L / (2 exp(2 s)) + s.
        s, bounds = np.ones(2), (low / 2, high / 2)
        scale, power, penalty = np.where(REGRESSION, 0.5, 1.0), 2.0, 1.0
    else:
        # exp(-s) L + s / 2, and exp(-s) L / 2 + s / 2.
        s, bounds = np.full(2, 2.0), (low, high)
        scale, power, penalty = np.where(REGRESSION, 0.5, 1.0), 1.0, 0.5
    path = []
    for _ in range(steps):
        gradient = penalty - power * scale * losses * np.exp(-power * s)
        gradient[(s < bounds[0]) | (s > bounds[1])] = 0.0
        s = s - RATE * gradient
        path.append(s)
    return np.array(path)


def trained(weighting):
    return ops.convert_to_numpy(
        getattr(weighting, weighting.parameterization)
    ).astype("float64")


@pytest.mark.backend
@pytest.mark.parametrize("parameterization", ["log_variance", "log_sigma"])
class TestTheAuthorsRule:
    def test_steps_of_its_own_rate(self, parameterization):
        weighting = built(
            regression_tasks=["b"],
            initial_log_variance=2.0,
            learning_rate=RATE,
            parameterization=parameterization,
        )
        expected = authors_rule(parameterization, LOSSES, 200)
        path = []
        for _ in range(200):
            weighting.update(LOSSES)
            path.append(trained(weighting))
        # It goes through zero, where float32 knows no more than the step.
        np.testing.assert_allclose(path, expected, rtol=1e-5, atol=1e-6)
        start = 1.0 if parameterization == "log_sigma" else 2.0
        ratio = (path[0] - start) / (expected[0] - start)
        np.testing.assert_allclose(ratio, 1.0, atol=1e-4)

    @pytest.mark.parametrize("aggregator", [None, slow("sum")])
    def test_steps_of_the_models_optimizer(self, parameterization, aggregator):
        """In a model whose losses rest, since its outputs do."""
        inputs = keras.Input((1,))
        # Of inputs that are zero, without biases: all gradients are zero.
        shared = keras.layers.Dense(1, use_bias=False)(inputs)
        outputs = {
            n: keras.layers.Dense(1, use_bias=False, name=n)(shared)
            for n in "ab"
        }
        model = MultiTaskModel(inputs, outputs)
        weighting = Uncertainty(
            ["b"], initial_log_variance=2.0, parameterization=parameterization
        )
        model.compile(
            keras.optimizers.SGD(RATE),
            loss={"a": "mse", "b": "mse"},
            weighting=weighting,
            aggregator=aggregator,
            jit_compile=False,
        )
        x = np.zeros((2, 1), "float32")
        targets = np.sqrt(LOSSES)
        y = {n: np.full((2, 1), targets[i]) for i, n in enumerate("ab")}
        steps = 5
        model.fit(
            np.tile(x, (steps, 1)),
            {n: np.tile(v, (steps, 1)) for n, v in y.items()},
            batch_size=2,
            verbose=0,
        )
        expected = authors_rule(parameterization, LOSSES, steps)[-1]
        np.testing.assert_allclose(trained(weighting), expected, rtol=1e-5)

    def test_beyond_the_bounds_it_rests(self, parameterization):
        """Bounds are of the log-variance: 2.1 is a log(sigma) of 1.05."""
        weighting = built(
            regression_tasks=["b"],
            initial_log_variance=2.0,
            min_log_variance=1.9,
            max_log_variance=2.1,
            learning_rate=RATE,
            parameterization=parameterization,
        )
        losses = np.array([0.5, 40.0], "float32")
        for _ in range(40):
            weighting.update(losses)
        expected = authors_rule(parameterization, losses, 40, 1.9, 2.1)
        np.testing.assert_allclose(trained(weighting), expected[-1], rtol=1e-5)
        np.testing.assert_allclose(
            weighting.weights(losses),
            [np.exp(-1.9), np.exp(-2.1) / 2],
            rtol=1e-6,
        )

    def test_the_optimum(self, parameterization):
        weighting = built(
            regression_tasks=["b"],
            learning_rate=0.1,
            parameterization=parameterization,
        )
        for _ in range(300):
            weighting.update(LOSSES)
        log_variance = ops.convert_to_numpy(weighting.log_variance)
        np.testing.assert_allclose(np.exp(log_variance), [1, 8], rtol=1e-4)
        np.testing.assert_allclose(
            ops.convert_to_numpy(weighting.log_sigma) * 2, log_variance
        )


def path_of(parameterization, learning_rate):
    """Log-variances after each of some steps."""
    weighting = built(
        regression_tasks=["b"],
        initial_log_variance=2.0,
        learning_rate=learning_rate,
        parameterization=parameterization,
    )
    path = []
    for _ in range(20):
        weighting.update(LOSSES)
        path.append(ops.convert_to_numpy(weighting.log_variance))
    return np.array(path)


def test_a_log_sigma_moves_the_variance_four_times_as_far():
    slow = path_of("log_variance", RATE)
    fast = path_of("log_sigma", RATE)
    np.testing.assert_allclose((fast[0] - 2) / (slow[0] - 2), 4.0, rtol=1e-4)
    np.testing.assert_allclose(path_of("log_variance", 4 * RATE), fast, 1e-5)


def test_with_adam_twice_as_far():
    moved = {}
    for parameterization in ("log_variance", "log_sigma"):
        weighting = built(
            initial_log_variance=2.0, parameterization=parameterization
        )
        optimizer = keras.optimizers.Adam(RATE, epsilon=1e-12)
        optimizer.build(weighting.variables)
        gradients = 0.5 - weighting.weights(LOSSES) * LOSSES
        factor = 2.0 if parameterization == "log_sigma" else 1.0
        optimizer.apply([factor * gradients], weighting.variables)
        moved[parameterization] = ops.convert_to_numpy(weighting.log_variance)
    ratio = (moved["log_sigma"] - 2) / (moved["log_variance"] - 2)
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-4)


def test_both_have_the_same_losses():
    both = [
        built(
            regression_tasks=["b"],
            initial_log_variance=-0.7,
            parameterization=parameterization,
        ).weighted_losses(LOSSES)
        for parameterization in ("log_variance", "log_sigma")
    ]
    np.testing.assert_allclose(*both, rtol=1e-6)


def test_the_code_of_kendall_is_imtll():
    """exp(-s) L + s, for s = 0.7."""
    weighting = weightings.IMTLL(initial_scale=-0.7)
    weighting.build(["a", "b"])
    np.testing.assert_allclose(
        weighting.weighted_losses(LOSSES),
        np.exp(-0.7) * LOSSES + 0.7,
        rtol=1e-6,
    )


def test_files_tell_a_log_sigma_from_a_log_variance():
    assert list(built().named_variables()) == ["log_variance"]
    other = built(parameterization="log_sigma")
    assert list(other.named_variables()) == ["log_sigma"]
    config = Uncertainty().get_config()
    del config["parameterization"]
    assert Uncertainty.from_config(config).parameterization == "log_variance"


def test_the_variances_before_the_tasks_are_known():
    with pytest.raises(ValueError, match="does not know its tasks yet"):
        _ = Uncertainty().log_variance


def test_log_variances_are_weights_only_where_the_optimizer_trains_them():
    assert built().log_variance.trainable
    assert not built(learning_rate=0.1).log_variance.trainable


def test_config_round_trip():
    weighting = Uncertainty(["a"], 0.5, -1.0, 2.0, 0.1, "log_sigma")
    copy = weightings.deserialize(weightings.serialize(weighting))
    assert copy.get_config() == weighting.get_config()
    assert isinstance(weightings.get("uncertainty"), Uncertainty)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"regression_tasks": "a"}, "sequence of task names"),
        ({"min_log_variance": 1.0, "max_log_variance": 0.0}, "less than"),
        ({"learning_rate": 0.0}, "`learning_rate` must be a number above 0"),
        (
            {"parameterization": "sigma"},
            "`parameterization` must be one of .*'log_sigma'.*'sigma'",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Uncertainty(**arguments)


def test_unknown_regression_task():
    with pytest.raises(
        ValueError, match=r"`regression_tasks` has entries \['c'\]"
    ):
        built(regression_tasks=["c"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
