import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries
from tests.tiers import slow
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

X = np.linspace(-1, 1, 32, dtype="float32").reshape(8, 4)
Y = {"a": X[:, :1], "b": X[:, 1:2]}


def functional() -> keras.Model:
    inputs = keras.Input((4,))
    shared = layers.Dense(3, activation="tanh", name="shared")(inputs)
    outputs = {name: layers.Dense(1, name=name)(shared) for name in "ab"}
    return MultiTaskModel(inputs, outputs)


class Subclassed(MultiTaskModel):
    def __init__(self):
        super().__init__()
        self.shared = layers.Dense(3)
        self.heads = {name: layers.Dense(1) for name in "ab"}

    def call(self, x):
        shared = self.shared(x)
        return {name: head(shared) for name, head in self.heads.items()}


def compiled(model: keras.Model, **kwargs) -> keras.Model:
    loss = keras.losses.MeanSquaredError()
    model.compile("adam", {"a": loss, "b": loss}, jit_compile=False, **kwargs)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["h5", "hdf5"])
def test_a_model_without_a_method_is_saved_and_loads(ending, tmp_path):
    model = compiled(functional())
    model.fit(X, Y, verbose=0)
    path = str(tmp_path / f"model.{ending}")
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert isinstance(loaded, MultiTaskModel)
    expected = model.predict(X, verbose=0)
    for name, values in loaded.predict(X, verbose=0).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)


@pytest.mark.parametrize(
    "make", slow_except([functional, Subclassed], functional)
)
@pytest.mark.parametrize(
    "kwargs",
    [
        {"aggregator": "pcgrad"},
        slow({"weighting": "uncertainty"}),
        slow({"missing_label": float("nan")}),
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_a_method_is_refused_before_a_file_is_touched(make, kwargs, tmp_path):
    model = compiled(make(), **kwargs)
    model.fit(X, Y, verbose=0)
    path = tmp_path / "model.h5"
    path.write_text("precious")
    with pytest.raises(ValueError, match=rf"{next(iter(kwargs))}.*`.keras`"):
        model.save(path)
    assert path.read_text() == "precious"


def test_auxiliaries_are_refused_and_the_served_model_is_saved(tmp_path):
    model = compiled(add_self_auxiliaries(functional(), "shared"))
    with pytest.raises(ValueError, match="auxiliaries.*strip_auxiliaries"):
        model.save(tmp_path / "model.h5")


def test_the_function_of_keras_refuses_as_the_method_does(tmp_path):
    model = compiled(functional(), aggregator="sum")
    with pytest.raises(ValueError, match="aggregator"):
        keras.saving.save_model(model, tmp_path / "model.h5")


# The optimizer has no state before the first step.
@pytest.mark.filterwarnings("ignore:Skipping variable loading")
def test_other_formats_are_as_ever(tmp_path):
    model = compiled(functional(), aggregator="sum")
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.aggregator.name == "sum"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
