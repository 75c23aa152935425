"""What every weighting must do: train, forget nothing, survive overflow."""

import copy
import inspect
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import backend
from keras_mtl import weightings
from keras_mtl.model import MultiTaskModel
from keras_mtl.testing import compiled
from keras_mtl.weightings import Observed
from keras_mtl.weightings import deserialize
from keras_mtl.weightings import serialize
from keras_mtl.weightings.cosmos import COSMOS
from keras_mtl.weightings.dynamic_weight_average import DynamicWeightAverage
from keras_mtl.weightings.famo import FAMO
from keras_mtl.weightings.geometric_mean import GeometricMean
from keras_mtl.weightings.grad_norm import GradNorm
from keras_mtl.weightings.imtll import IMTLL
from keras_mtl.weightings.pbi import PBI
from keras_mtl.weightings.random_loss_weighting import RandomLossWeighting
from keras_mtl.weightings.scale_invariant import ScaleInvariant
from keras_mtl.weightings.schedule import Schedule
from keras_mtl.weightings.stch import STCH
from keras_mtl.weightings.svd_weights import SVDWeights
from keras_mtl.weightings.tchebycheff import Tchebycheff
from keras_mtl.weightings.uncertainty import Uncertainty
from keras_mtl.weightings.uwso import UWSO
from tests.tiers import slow_except
from tests.weightings import methods
from tests.weightings.methods import WEIGHTINGS

pytestmark = pytest.mark.backend

HALVED = keras.optimizers.schedules.ExponentialDecay(1.0, 2, 0.5)
MAKE = {
    "cosmos": lambda: COSMOS(0.5, {"a": 2.0, "b": 1.0}),
    "dwa_epoch": lambda: DynamicWeightAverage(temperature=0.1),
    "dwa_steps": lambda: DynamicWeightAverage(0.1, window=2),
    "famo": lambda: FAMO(min_losses={"b": 0.01}),
    "geometric_mean": GeometricMean,
    "grad_norm": lambda: GradNorm(0.5, 0.01, norm_layer="shared"),
    "imtll": lambda: IMTLL(0.1),
    "imtll_own_rate": lambda: IMTLL(learning_rate=0.01),
    "pbi": lambda: PBI(0.5, [2.0, 1.0], [0.0, 0.1]),
    "random": lambda: RandomLossWeighting(seed=3),
    "scale_invariant": ScaleInvariant,
    "schedule": lambda: Schedule({"a": HALVED}),
    "stch": lambda: STCH(0.5, reference={"a": 0.1}),
    "svd_weights": lambda: SVDWeights({"a": 0.5}),
    "tchebycheff": lambda: Tchebycheff([1.0, 3.0]),
    "uncertainty": lambda: Uncertainty(learning_rate=0.01),
    "uncertainty_sigma": lambda: Uncertainty(parameterization="log_sigma"),
    "uwso": lambda: UWSO(0.5),
}
# Of losses alone, with a memory, with variables to train, and of gradients.
QUICK = ("stch", "dwa_epoch", "uncertainty", "grad_norm")
STATELESS = {"cosmos", "geometric_mean", "pbi", "scale_invariant", "stch"}
STATELESS |= {"svd_weights", "tchebycheff", "uwso"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype("float32")
Y = {n: RNG.normal(size=(12, 1)).astype("float32") for n in "ab"}


def make_model(name, aggregator):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(4, name="shared")(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.02),
        loss={"a": "mse", "b": "mse"},
        weighting=MAKE[name](),
        aggregator=aggregator,
        # XLA compiles the updates below, without the model.
        jit_compile=False,
    )
    return model


def fit(model, epochs=1):
    history = model.fit(X, Y, 4, epochs=epochs, shuffle=False, verbose=0)
    return history.history


def values_of(weighting):
    return [ops.convert_to_numpy(v).copy() for v in weighting.variables]


@pytest.mark.parametrize("name", MAKE)
def test_without_a_model_it_works_or_says_what_is_missing(name):
    losses = ops.convert_to_tensor(np.array([1.0, 2.0], "float32"))
    try:
        weights = MAKE[name]().weights(losses)
    except ValueError as error:
        assert re.search(r"call `build\(task_names\)`", str(error))
    else:
        assert weights.shape == (2,)


@pytest.mark.parametrize("name", slow_except(MAKE, *QUICK))
def test_trains_alone(name):
    model = make_model(name, None)
    start = values_of(model.weighting)
    history = fit(model, epochs=3)
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    end = values_of(model.weighting)
    assert all(np.isfinite(value).all() for value in end)
    changed = any((old != new).any() for old, new in zip(start, end))
    assert changed == (name not in STATELESS)


@pytest.mark.parametrize("name", slow_except(MAKE, "dwa_epoch", "grad_norm"))
def test_goes_on_from_a_file_as_if_never_stopped(name, tmp_path):
    """With an aggregator, too."""
    model = make_model(name, "pcgrad")
    fit(model, epochs=2)
    model.save_weights(tmp_path / "model.weights.h5")
    history = fit(model, epochs=2)
    weights, state = model.get_weights(), values_of(model.weighting)
    model.load_weights(tmp_path / "model.weights.h5")
    assert_equal(fit(model, epochs=2)["loss"], history["loss"])
    assert_equal(model.get_weights(), weights)
    assert_equal(values_of(model.weighting), state)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dwa_epoch", "imtll", "schedule"])
def test_loaded_models_go_on(name, tmp_path):
    model = make_model(name, None)
    fit(model, epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal(fit(model)["loss"], fit(loaded)["loss"])
    assert_equal(model.get_weights(), loaded.get_weights())
    assert_equal(values_of(model.weighting), values_of(loaded.weighting))


def assert_equal(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", MAKE)
def test_replicas(name, monkeypatch):
    monkeypatch.setattr(backend, "num_replicas", lambda: 2)
    if name in ("random", "schedule", "svd_weights"):
        assert not make_model(name, None).weighting.reads
    else:
        message = "needs the losses of the whole batch.*Use `loss_weights`"
        with pytest.raises(ValueError, match=message):
            make_model(name, None)


def test_table_has_every_weighting():
    classes = {
        name
        for name in weightings.__all__
        if inspect.isclass(getattr(weightings, name))
        and name not in ("Weighting", "Observed")
    }
    made = {type(entry.make()).__name__ for entry in WEIGHTINGS.values()}
    assert classes == made


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_table(name):
    """What its weights add up to, and their signs."""
    entry = WEIGHTINGS[name]
    size = len(methods.NAMES)
    weighting = methods.built(entry)
    rng = np.random.default_rng(0)
    totals, lowest = [], []
    for losses in rng.uniform(0.01, 1.0, (20, size)).astype("float32"):
        losses = ops.convert_to_tensor(losses)
        weights = ops.convert_to_numpy(weighting.weights(losses))
        totals.append(weights.sum())
        lowest.append(weights.min())
        observed = dict.fromkeys(weighting.observes, 0.9 * losses)
        weighting.update(losses, Observed(**observed))
        weighting.end_epoch()
    assert (min(lowest) < 0) == entry.negative
    wanted = {
        methods.TASKS: size,
        methods.ONE: 1,
        methods.SHARE: 1 / size,
        methods.ROOT: size**0.5,
    }
    if entry.total in wanted:
        np.testing.assert_allclose(totals, wanted[entry.total], rtol=1e-5)
    if entry.total == methods.OPEN and not weighting.variables:
        assert np.ptp(totals) > 1e-3
    parameters = inspect.signature(type(weighting)).parameters
    assert set(entry.published) <= set(parameters)


# Losses, losses after the step, norms of gradients: labels missing, overflow.
STEPS = np.array(
    [
        [[1.0, 2.0], [0.9, 1.9], [1.0, 3.0]],
        [[0.5, np.nan], [0.4, np.nan], [1.0, np.nan]],
        [[np.inf, 1.0], [0.3, 0.9], [np.inf, 2.0]],
        [[np.nan, np.nan], [np.nan, np.nan], [np.nan, np.nan]],
        [[1.0, 1.0], [np.nan, np.inf], [3e38, 3e38]],
        [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
        [[1e-30, 1e30], [1e-30, 1e30], [1e-15, 1e15]],
        [[0.4, 1.0], [0.3, 0.8], [0.5, 2.0]],
    ],
    "float32",
)


def stepper(weighting):
    """One step: the weights before it, then the update."""

    def step(observed):
        losses = observed[0]
        seen = ops.where(ops.isfinite(losses), losses, 0.0)
        weights = weighting.weights(seen)
        after = {
            "losses_after": observed[1],
            "gradient_norms": observed[2],
            "gradient_gram": observed[2][:, None] * observed[2][None, :],
        }
        wanted = {name: after[name] for name in weighting.observes}
        weighting.update(losses, Observed(**wanted))
        return weights

    return step


@pytest.mark.parametrize("name", MAKE)
def test_missing_and_infinite_losses_leave_no_trace(name):
    """Compiled by XLA as well as not."""
    weighting, compiled_weighting = MAKE[name](), MAKE[name]()
    step = stepper(weighting)
    compiled_step = stepper(compiled_weighting)
    for method in (weighting, compiled_weighting):
        method.build(["a", "b"])
    run = compiled(compiled_step, compiled_weighting.variables)
    for observed in STEPS:
        weights = ops.convert_to_numpy(step(ops.convert_to_tensor(observed)))
        assert np.isfinite(weights).all()
        assert all(np.isfinite(v).all() for v in values_of(weighting))
        np.testing.assert_allclose(
            ops.convert_to_numpy(run(observed)), weights, rtol=1e-4, atol=1e-6
        )
    for ours, theirs in zip(
        values_of(weighting), values_of(compiled_weighting)
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MAKE)
def test_configuration_makes_an_equal_one(name):
    weighting = MAKE[name]()
    config = copy.deepcopy(serialize(weighting))
    again = deserialize(config)
    assert type(again) is type(weighting)
    assert serialize(again) == serialize(weighting)
    assert repr(again).startswith(type(weighting).__name__)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="JAX is in 32 bits"
)
@pytest.mark.parametrize("name", ["uncertainty", "imtll"])
def test_what_the_optimizer_trains_is_of_the_type_of_the_model(name):
    """Keras takes no common norm of gradients in two types."""
    keras.config.set_dtype_policy("float64")
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(3)(inputs)
    outputs = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    weighting = weightings.get(name)
    optimizer = keras.optimizers.SGD(0.1, global_clipnorm=0.5)
    model.compile(optimizer, "mse", weighting=weighting)
    y = {n: np.ones((8, 1)) for n in "ab"}
    model.fit(np.ones((8, 4)), y, verbose=0)
    (parameter,) = weighting.variables
    assert np.abs(keras.ops.convert_to_numpy(parameter)).max() > 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
