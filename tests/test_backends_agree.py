"""The same training with XLA and without, and on every backend."""

import importlib.util
import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators

pytestmark = pytest.mark.backend

HERE = keras.backend.backend()
# Each is compared with one that compiles: what agrees with JAX agrees with all
# that do, and another process for TensorFlow would take PyTorch's run as long.
OTHERS = {
    "tensorflow": ["jax", "torch"],
    "jax": ["tensorflow", "torch"],
    "torch": ["jax"],
}.get(HERE, [])
RULES = {
    "pcgrad": lambda: aggregators.PCGrad(seed=7),
    "pcgrad_by_layer": lambda: aggregators.PCGrad("layer", seed=8),
    "mgda": aggregators.MGDA,
    "mgda_loss+": lambda: aggregators.MGDA("loss+", granularity="variable"),
    "projection": lambda: aggregators.Projection("b"),
    "grad_vac": lambda: aggregators.GradVac(seed=9),
    "modo": lambda: aggregators.MoDo(rho=0.1),
}
STEPS = 20
TOLERANCE = 1e-4


def make_model() -> MultiTaskModel:
    inputs = keras.Input((5,))
    tensor = layers.Dense(8, activation="tanh", name="first")(inputs)
    tensor = layers.Dense(6, activation="tanh", name="second")(tensor)
    outputs = {
        "a": layers.Dense(3, activation="softmax", name="a")(tensor),
        "b": layers.Dense(1, name="b")(tensor),
        "c": layers.Dense(2, name="c")(tensor),
        "d": layers.Dense(1, name="d")(tensor),
    }
    return MultiTaskModel(inputs, outputs)


def make_start(path: str) -> None:
    """Writes initial weights and data: generators differ by backend."""
    keras.utils.set_random_seed(0)
    weights = make_model().get_weights()
    rng = np.random.default_rng(0)
    shapes = {"x": (40, 5), "b": (40, 1), "c": (40, 2), "d": (40, 1)}
    data = {
        name: rng.normal(size=shape).astype("float32")
        for name, shape in shapes.items()
    }
    data["a"] = rng.integers(0, 3, 40)
    np.savez(path, **data, **{f"w{i}": w for i, w in enumerate(weights)})


def train(path: str, rule: str, **arguments: Any) -> list[np.ndarray]:
    """Weights after the steps, then the mean conflict of the last epoch."""
    data = dict(np.load(path))
    model = make_model()
    model.set_weights([data[f"w{i}"] for i in range(len(model.weights))])
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.8),
        loss={
            "a": "sparse_categorical_crossentropy",
            "b": "mse",
            "c": "mse",
            "d": "huber",
        },
        aggregator=RULES[rule](),
        **arguments,
    )
    history = model.fit(
        data["x"],
        {name: data[name] for name in "abcd"},
        batch_size=8,
        epochs=STEPS // 5,
        shuffle=False,
        verbose=0,
    ).history
    assert int(model.optimizer.iterations) == STEPS
    conflict = np.array(history["gradient_conflict"][-1])
    return [*model.get_weights(), conflict]


def train_all(path: str, result: str) -> None:
    """What the process on another backend does."""
    arrays = {}
    jit_compile = HERE == "jax"  # Which is slow without.
    for rule in RULES:
        trained = train(path, rule, jit_compile=jit_compile)
        for i, array in enumerate(trained):
            arrays[f"{rule}_{i}"] = array
    np.savez(result, **arrays)


def assert_agree(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    gap = max(np.abs(a - b).max() for a, b in zip(one, other))
    print(f"gap {gap:.1e}", end=" ")
    assert gap < TOLERANCE


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("start") / "start.npz")
    make_start(path)
    return path


@pytest.fixture(scope="module")
def compiled(start) -> dict[str, list[np.ndarray]]:
    return {rule: train(start, rule, jit_compile=True) for rule in RULES}


@pytest.fixture(scope="module", params=OTHERS)
def elsewhere(request, start, tmp_path_factory) -> dict[str, np.ndarray]:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    result = str(tmp_path_factory.mktemp("other") / "result.npz")
    program = (
        "import runpy, sys; _, file, start, result = sys.argv;"
        "runpy.run_path(file)['train_all'](start, result)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, __file__, start, result],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "KERAS_BACKEND": request.param,
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(result))


@pytest.mark.slow
def test_xla_changes_nothing_and_the_rules_differ(start, compiled):
    # One test, for two processes would compile all rules twice. On JAX this
    # runs one operation at a time, so three of them are enough.
    for rule in ("pcgrad", "mgda", "projection"):
        assert_agree(compiled[rule], train(start, rule, jit_compile=False))
    assert_differ([compiled[rule][0] for rule in RULES])


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_another_backend_agrees(rule, compiled, elsewhere):
    arrays = [elsewhere[f"{rule}_{i}"] for i in range(len(compiled[rule]))]
    assert_agree(compiled[rule], arrays)


def test_two_rules_differ(start):
    # Without XLA, which takes long to compile; on JAX nothing is fast without.
    jit_compile = HERE == "jax"
    results = [
        train(start, rule, jit_compile=jit_compile)[0]
        for rule in ("pcgrad", "projection")
    ]
    assert_differ([*results, np.load(start)["w0"]])


def assert_differ(results: list[np.ndarray]) -> None:
    for i, one in enumerate(results):
        for other in results[:i]:
            assert np.abs(one - other).max() > 10 * TOLERANCE


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
