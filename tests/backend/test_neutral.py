"""Backends that take no gradients: all works but training by tasks."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
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
for rule in (keras_mtl.aggregators.MGDA(), keras_mtl.aggregators.NashMTL()):
    print("%.3f %.3f" % tuple(keras.ops.convert_to_numpy(rule.weights(gram))))
gram = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 4.0]])
aligned = keras_mtl.aggregators.AlignedMTL().weights(gram)
np.save(path + "_aligned.npy", keras.ops.convert_to_numpy(aligned))
losses = 0.0
if keras.backend.backend() != "openvino":  # There Keras takes one output.
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


def aligned_weights():
    """K's smallest eigenvalue, and all directions of it alike: sqrt(K)^-1."""
    gram = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 4.0]])
    values, vectors = np.linalg.eigh(gram)
    scaled = vectors * np.sqrt(values[0] / values) @ vectors.T
    return scaled.sum(axis=0)


@pytest.mark.parametrize(
    ("name", "needs"), [("numpy", "jax"), ("openvino", "openvino")]
)
def test_a_model_serves_and_refuses_to_train(name, needs, tmp_path):
    pytest.importorskip(needs, reason=f"Keras' backend {name} needs it")
    model = make_model()
    path = str(tmp_path / "model.keras")
    model.save(path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().split("\n")[-4:]
    min_norm, bargained, measured, refusal = lines
    assert min_norm == "0.286 0.714"
    # w (K w) is the same for each task.
    one, other = map(float, bargained.split())
    gains = one * (4 * one - other), other * (other - one)
    assert gains[0] == pytest.approx(gains[1], abs=5e-3) != 0
    assert int(measured) >= 1
    assert "TensorFlow, JAX and PyTorch" in refusal
    assert f"'{name}'" in refusal
    x = np.linspace(-1, 1, 12).reshape(4, 3).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x)["a"])
    # OpenVINO serves in bfloat16 where the processor has it.
    atol = 1e-2 if name == "openvino" else 1e-5
    np.testing.assert_allclose(np.load(path + ".npy"), expected, atol=atol)
    aligned = np.load(path + "_aligned.npy")
    np.testing.assert_allclose(aligned, aligned_weights(), rtol=1e-4)


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
