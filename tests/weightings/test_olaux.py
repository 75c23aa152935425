"""OL-AUX: single steps by hand, and tasks that help and hurt."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.model import MultiTaskModel
from keras_mtl.weightings import Observed
from keras_mtl.weightings.olaux import OLAUX

NAN = float("nan")


def built(main_task="main", **kwargs):
    weighting = OLAUX(main_task, **kwargs)
    weighting.build(["main", "a", "b"])
    return weighting


def update(weighting, products):
    """One step in which the main row of the Gram holds these."""
    gram = np.full((3, 3), 7.0, "float32")
    gram[0] = products
    weighting.update(np.ones(3, "float32"), Observed(gradient_gram=gram))
    return ops.convert_to_numpy(weighting.task_weights)


def test_moves_every_horizon_steps_by_the_sum():
    weighting = built(beta=0.1, horizon=3)
    for products in ([5.0, 1.0, -1.0], [4.0, 2.0, 0.5]):
        np.testing.assert_array_equal(update(weighting, products), 1)
    found = update(weighting, [3.0, 0.5, -2.0])
    np.testing.assert_allclose(found, [1, 1.35, 0.75], rtol=1e-6)
    # From then on the gradients are of weighted losses.
    for _ in range(3):
        found = update(weighting, [3.0, 1.35 * 2, 0.75 * -1])
    np.testing.assert_allclose(found, [1, 1.95, 0.45], rtol=1e-5)


def test_horizon_sums_what_single_steps_would_add():
    rng = np.random.default_rng(0)
    often, seldom = built(beta=0.01, horizon=1), built(beta=0.01, horizon=4)
    for row in rng.normal(size=(4, 3)):
        ours = ops.convert_to_numpy(often.task_weights)
        update(often, row * ours)
        update(seldom, row)
    np.testing.assert_allclose(
        ops.convert_to_numpy(often.task_weights),
        ops.convert_to_numpy(seldom.task_weights),
        rtol=1e-5,
    )


def test_floor():
    weighting = built(beta=1.0, horizon=1, floor=0.05)
    np.testing.assert_allclose(update(weighting, [1.0, -9.0, 0.0])[1], 0.05)
    # And up again.
    np.testing.assert_allclose(
        update(weighting, [1.0, 0.05 * 2, 0.0])[1], 2.05, rtol=1e-6
    )


@pytest.mark.parametrize("bad", [NAN, np.inf, -np.inf])
def test_not_finite_adds_nothing(bad):
    weighting = built(beta=0.1, horizon=2)
    update(weighting, [1.0, bad, 1.0])
    found = update(weighting, [1.0, 2.0, 1.0])
    np.testing.assert_allclose(found, [1, 1.2, 1.2], rtol=1e-6)


def test_logarithms():
    weighting = built(log=True)
    weighting.task_weights.assign([1.0, 3.0, 0.5])
    found = weighting.weights(np.array([4.0, 0.5, 0.0], "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(found), [0.25, 6, 0])


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"main_task": None}, "main_task"),
        ({"main_task": "main", "beta": -1}, "beta"),
        ({"main_task": "main", "horizon": 0}, "horizon"),
        ({"main_task": "main", "floor": 0}, "floor"),
        ({"main_task": "main", "log": "no"}, "log"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=f"`{message}`.*Received"):
        OLAUX(**kwargs)


def test_unknown_main_task():
    with pytest.raises(ValueError, match="nobody"):
        built("nobody")


# -- in training --------------------------------------------------------------

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype("float32")
MAIN = X @ RNG.normal(size=(6, 1)).astype("float32")
Y = {"main": MAIN, "alike": MAIN, "opposed": -MAIN}


def train(steps=40, model=None, **kwargs):
    if model is None:
        model = make_model(**kwargs)
    model.fit(X, Y, batch_size=64, epochs=steps, verbose=0)
    return model


def make_model(weighting=None, **kwargs):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    shared = keras.layers.Dense(1, use_bias=False, name="shared")(inputs)
    # One output for all: what helps one task and hurts another is the label.
    outputs = {
        name: keras.layers.Activation("linear", name=name)(shared) for name in Y
    }
    model = MultiTaskModel(inputs, outputs)
    weighting = weighting or OLAUX("main", beta=0.02)
    model.compile(
        keras.optimizers.SGD(0.001),
        loss=dict.fromkeys(Y, "mse"),
        weighting=weighting,
        **kwargs,
    )
    return model


def weights_of(model):
    return ops.convert_to_numpy(model.weighting.task_weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"jit_compile": False},
        {"aggregator": "pcgrad"},
        {"weighting": OLAUX("main", beta=0.2, log=True)},
    ],
    ids=["xla", "graph", "pcgrad", "log"],
)
def test_the_identical_task_rises_and_the_opposed_one_falls(kwargs):
    main, alike, opposed = weights_of(train(**kwargs))
    assert main == 1
    assert alike > 1.3
    assert opposed == pytest.approx(1e-3)


def test_first_update_is_the_inner_product_of_stock_gradients():
    model = make_model(weighting=OLAUX("main", beta=1e-3, horizon=1))
    kernel = ops.convert_to_numpy(model.get_layer("shared").kernel)
    gradients = {
        name: 2 / len(X) * X.T.astype("float64") @ (X @ kernel - y)
        for name, y in Y.items()
    }
    model.train_on_batch(X, Y)
    expected = [
        1 + 1e-3 * float(np.sum(gradients["main"] * gradients[name]))
        for name in ("alike", "opposed")
    ]
    np.testing.assert_allclose(weights_of(model)[1:], expected, rtol=1e-5)


@pytest.mark.slow
def test_projection_does_not_change_what_is_learned():
    """It acts on the gradients after the weights; the first update shows it."""
    from keras_mtl.aggregators import Projection

    found = []
    for aggregator in (None, Projection("main")):
        model = make_model(
            weighting=OLAUX("main", beta=1e-3, horizon=1),
            aggregator=aggregator,
        )
        model.train_on_batch(X, Y)
        found.append(weights_of(model))
    np.testing.assert_allclose(*found, rtol=1e-6)


@pytest.mark.slow
def test_state_survives_a_restart(tmp_path):
    whole = train(7)
    first = train(3)
    first.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    # In the middle of a horizon.
    assert int(ops.convert_to_numpy(again.weighting.step)) == 3
    train(4, again)
    np.testing.assert_allclose(weights_of(again), weights_of(whole), rtol=1e-5)


@pytest.mark.slow
def test_no_labels_of_the_main_task_teach_nothing():
    model = make_model(missing_label=NAN)
    labels = {**Y, "main": np.full_like(MAIN, NAN)}
    model.fit(X, labels, batch_size=64, epochs=5, verbose=0)
    np.testing.assert_array_equal(weights_of(model), 1)


def test_tasks_that_share_nothing():
    inputs = keras.Input((6,))
    model = MultiTaskModel(
        inputs, {n: keras.layers.Dense(1, name=n)(inputs) for n in Y}
    )
    model.compile("sgd", dict.fromkeys(Y, "mse"), weighting=OLAUX("main"))
    with pytest.raises(ValueError, match="OLAUX.*compare"):
        model.train_on_batch(X, Y)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
