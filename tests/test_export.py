"""Every format that Keras exports to, before and after `fit`."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

BACKEND = keras.backend.backend()
X = np.linspace(-1, 1, 32, dtype="float32").reshape(8, 4)
Y = {"a": X[:, :1], "b": X[:, 1:2]}


def graph() -> tuple:
    inputs = keras.Input((4,), name="x")
    shared = layers.Dense(3, activation="tanh", name="shared")(inputs)
    return inputs, {name: layers.Dense(1, name=name)(shared) for name in "ab"}


class OwnClass(MultiTaskModel):
    def __init__(self):
        super().__init__(*graph())


class Subclassed(MultiTaskModel):
    def __init__(self):
        super().__init__()
        self.shared = layers.Dense(3)
        self.heads = {name: layers.Dense(1) for name in "ab"}

    def call(self, x):
        shared = self.shared(x)
        return {name: head(shared) for name, head in self.heads.items()}


MODELS = {
    "functional": lambda: MultiTaskModel(*graph()),
    "own_class": OwnClass,
    "auxiliaries": lambda: add_self_auxiliaries(
        MultiTaskModel(*graph()), "shared"
    ),
    "subclassed": Subclassed,
}
FORMATS = {
    "onnx": ["onnx", {"tensorflow": "tf2onnx", "jax": "jax2onnx"}[BACKEND]],
    "tf_saved_model": [],
    "litert": [],
}
ENDINGS = {
    "onnx": "model.onnx",
    "tf_saved_model": "model",
    "litert": "model.tflite",
}


def run_onnx(path: str) -> list[np.ndarray]:
    from onnx.reference import ReferenceEvaluator

    served = ReferenceEvaluator(path)
    return served.run(None, {served.input_names[0]: X})


def run_saved_model(path: str) -> list[np.ndarray]:
    import tensorflow as tf

    # Its variables live as long as it does.
    artifact = tf.saved_model.load(path)
    outputs = artifact.serve(X)
    return [np.asarray(outputs[name]) for name in "ab"]


def run_litert(path: str) -> list[np.ndarray]:
    import tensorflow as tf

    runner = tf.lite.Interpreter(path).get_signature_runner()
    (name,) = runner.get_input_details()
    outputs = runner(**{name: X})
    return [outputs[name] for name in sorted(outputs)]


RUN = {
    "onnx": run_onnx,
    "tf_saved_model": run_saved_model,
    "litert": run_litert,
}


@pytest.mark.parametrize("fitted", slow_except([False, True], True))
@pytest.mark.parametrize("kind", slow_except(MODELS, "own_class"))
@pytest.mark.parametrize("file_format", FORMATS)
def test_serves_what_the_model_predicts(file_format, kind, fitted, tmp_path):
    for package in FORMATS[file_format]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if file_format == "litert" and BACKEND == "jax":
        pytest.skip("Keras exports to LiteRT from TensorFlow and PyTorch")
    if file_format == "litert" and kind != "functional":
        pytest.skip("slow; it is made of the same plain model")
    model = MODELS[kind]()
    # A method with state, which is not served.
    model.compile("sgd", "mse", aggregator="mo_co", jit_compile=False)
    if fitted:
        model.fit(X, Y, verbose=0)
    elif kind == "subclassed":
        model(X)
    path = str(tmp_path / ENDINGS[file_format])
    model.export(path, format=file_format, verbose=False)
    expected = model.predict(X, verbose=0)
    for name, values in zip("ab", RUN[file_format](path)):
        np.testing.assert_allclose(values, expected[name], atol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
