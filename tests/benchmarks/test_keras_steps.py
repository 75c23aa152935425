import numpy as np
import pytest

from benchmarks import keras_steps
from benchmarks.network import Network
from keras_mtl import MultiTaskModel

TINY = Network(4, input_dim=4, units=5, depth=2, batch_size=6)


def loss(logs):
    return float(np.array(logs["loss"]))


@pytest.mark.parametrize("method", keras_steps.METHODS)
def test_every_method_is_what_its_name_says(method):
    model = keras_steps.make_model(method, TINY, "sgd", jit_compile=False)
    assert isinstance(model, MultiTaskModel) == (method != "plain")
    name = method.removesuffix(keras_steps.AT_REPRESENTATION)
    at = name != method
    aggregator = getattr(model, "aggregator", None)
    if name in ("plain", "none"):
        assert aggregator is None
    else:
        assert aggregator.name == name
        config = model.get_compile_config()
        assert config["representation"] == ("shared1" if at else None)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["plain", "projection"])
def test_steps_train(method):
    model = keras_steps.make_model(method, TINY, "sgd", jit_compile=False)
    step = keras_steps.make_step(model, TINY)
    first = loss(step())
    for _ in range(20):
        last = loss(step())
    # The mean over the steps so far, which falls as the loss does.
    assert last < first


def test_methods_start_from_the_same_weights():
    weights = [
        keras_steps.make_model(method, TINY, "adam", False).get_weights()
        for method in (keras_steps.PLAIN, "pcgrad", "mgda_representation")
    ]
    for other in weights[1:]:
        for expected, found in zip(weights[0], other):
            np.testing.assert_array_equal(expected, found)


@pytest.mark.slow
def test_steps_are_those_of_fit():
    x, y = TINY.batch()
    driven, fitted = (
        keras_steps.make_model("pcgrad", TINY, "sgd", False) for _ in range(2)
    )
    step = keras_steps.make_step(driven, TINY)
    # The mean over one more step each time.
    means = [loss(step()) for _ in range(3)]
    logs = fitted.fit(
        x, y, batch_size=len(x), epochs=3, shuffle=False, verbose=0
    )
    expected = np.cumsum(logs.history["loss"]) / [1, 2, 3]
    np.testing.assert_allclose(means, expected, rtol=1e-4)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
