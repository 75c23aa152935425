"""Backends that take no gradients: all works but training by tasks."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_mtl import backend
from keras_mtl.backend import neutral

pytestmark = pytest.mark.backend

ROOT = Path(__file__).absolute().parents[2]

PROGRAM = """
import sys
import keras, numpy as np, keras_mtl
path, = sys.argv[1:]
model = keras.models.load_model(path)
x = np.linspace(-1, 1, 12).reshape(4, 3).astype("float32")
np.save(path + ".npy", model.predict(x, verbose=0)["a"])
gram = np.array([[4.0, -1.0], [-1.0, 1.0]])
print("%.3f %.3f" % tuple(keras_mtl.aggregators.MGDA().weights(gram)))
losses = model.evaluate(x, {"a": x[:, :1], "b": x[:, 1:2]}, verbose=0)
print(len(np.atleast_1d(losses)))
try:
    model.fit(x, {"a": x[:, :1], "b": x[:, 1:2]}, verbose=0)
except NotImplementedError as error:
    print(error)
"""


def make_model():
    import keras_mtl

    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh", name="shared")(inputs)
    stitched = keras_mtl.layers.CrossStitch()([hidden, hidden])
    outputs = {
        name: keras.layers.Dense(1, name=name)(part)
        for name, part in zip("ab", stitched, strict=True)
    }
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    losses = {"a": "mse", "b": "mse"}
    model.compile("sgd", loss=losses, aggregator="pcgrad")
    return model


def test_a_model_serves_on_numpy_and_refuses_to_train(tmp_path):
    import numpy as np

    pytest.importorskip("jax", reason="Keras' backend of NumPy needs it")
    model = make_model()
    path = str(tmp_path / "model.keras")
    model.save(path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    weights, measured, refusal = done.stdout.strip().split("\n")[-3:]
    assert weights == "0.286 0.714"
    assert int(measured) >= 1
    assert "TensorFlow, JAX and PyTorch" in refusal
    assert "'numpy'" in refusal
    x = np.linspace(-1, 1, 12).reshape(4, 3).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x)["a"])
    np.testing.assert_allclose(np.load(path + ".npy"), expected, atol=1e-5)


def test_what_takes_gradients_names_the_backends_that_do():
    for refused in (
        lambda: neutral.differentiate(None, None),
        lambda: neutral.task_gradients(None, []),
    ):
        with pytest.raises(NotImplementedError, match="PyTorch"):
            refused()


def test_a_backend_has_all_that_neutral_lists():
    assert not [n for n in neutral.__all__ if not hasattr(backend, n)]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
