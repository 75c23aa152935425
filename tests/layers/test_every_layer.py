"""What every layer has to do in a model: train, be saved, be served."""

import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_mtl
from tests.layers.cases import CASES
from tests.layers.cases import TASKS
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# With sub-layers, and with weights alone.
QUICK = ("per_task", "cross_stitch")

LOAD_AND_PREDICT = """
import sys
import keras
import numpy as np
import keras_mtl

folder = sys.argv[1]
x = np.load(f"{folder}/x.npy")
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    outputs = {k: keras.ops.convert_to_numpy(v) for k, v in model(x).items()}
    np.savez(f"{folder}/{name}.npz", **outputs)
"""


def make_model(name: str) -> keras_mtl.MultiTaskModel:
    inputs = keras.Input((8,))
    # Something for an aggregator to do, where tasks else share no gradient.
    shared = keras.layers.Dense(8, activation="tanh")(inputs)
    outputs = {
        task: keras.layers.Dense(1, dtype="float32", name=task)(tensor)
        for task, tensor in CASES[name](shared).items()
    }
    assert tuple(sorted(outputs)) == TASKS
    return keras_mtl.MultiTaskModel(inputs, outputs)


def make_data() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 8)).astype("float32")
    slopes = rng.normal(size=(8, 2))
    y = np.tanh(x @ slopes).astype("float32")
    return x, {task: y[:, t : t + 1] for t, task in enumerate(TASKS)}


def numpy_outputs(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    return {k: keras.ops.convert_to_numpy(v) for k, v in model(x).items()}


def numpy_weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {v.path: np.array(v) for v in model.trainable_variables}


@pytest.mark.parametrize("name", slow_except(CASES, "cross_stitch"))
def test_trains_under_pcgrad_compiled_by_xla(name):
    model = make_model(name)
    model.compile(
        # So fast that the noise of random gates cannot hide it.
        keras.optimizers.SGD(0.1),
        "mse",
        aggregator="pcgrad",
        jit_compile=True,
    )
    x, y = make_data()
    before = numpy_weights(model)
    history = model.fit(x, y, batch_size=16, epochs=10, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    after = numpy_weights(model)
    unmoved = [p for p in before if np.array_equal(before[p], after[p])]
    assert not unmoved


@pytest.mark.parametrize("name", slow_except(CASES, *QUICK))
def test_trains_in_mixed_precision(name):
    keras.config.set_dtype_policy("mixed_float16")
    model = make_model(name)
    # Compiling would take longer than the steps.
    model.compile(
        keras.optimizers.Adam(0.01),
        "mse",
        aggregator="pcgrad",
        run_eagerly=ON_TENSORFLOW,
    )
    x, y = make_data()
    model.fit(x, y, batch_size=16, epochs=1, verbose=0)
    for variable in model.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            assert variable.dtype == "float32", variable.path
            assert np.isfinite(np.array(variable)).all(), variable.path


@pytest.mark.slow
def test_load_in_a_new_process_without_custom_objects(tmp_path):
    x, _ = make_data()
    np.save(tmp_path / "x.npy", x)
    for name in CASES:
        model = make_model(name)
        change_state(model)
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}-here.npz", **numpy_outputs(model, x))
    subprocess.run(
        [sys.executable, "-c", LOAD_AND_PREDICT, str(tmp_path), *CASES],
        check=True,
        cwd=Path(__file__).absolute().parents[2],
    )
    for name in CASES:
        here = np.load(tmp_path / f"{name}-here.npz")
        there = np.load(tmp_path / f"{name}.npz")
        for task in TASKS:
            np.testing.assert_allclose(
                there[task], here[task], atol=1e-6, err_msg=name
            )


def change_state(model: keras.Model) -> None:
    """Moves what only training moves, such as averages, off its start."""
    for variable in model.non_trainable_variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(variable * 0.9 + 0.01)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="reads a SavedModel back")
@pytest.mark.parametrize("name", slow_except(CASES, *QUICK))
def test_exports(name, tmp_path):
    import tensorflow as tf

    model = make_model(name)
    x, _ = make_data()
    model.export(tmp_path, verbose=False)
    # Variables go with the object that was loaded.
    loaded = tf.saved_model.load(str(tmp_path))
    served = loaded.serve(x)
    expected = numpy_outputs(model, x)
    for task in TASKS:
        np.testing.assert_allclose(served[task], expected[task], atol=1e-5)


@pytest.mark.parametrize("name", slow_except(CASES, *QUICK))
def test_configuration_makes_the_same_layers_again(name):
    model = make_model(name)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    x, _ = make_data()
    expected = numpy_outputs(model, x)
    for task, prediction in numpy_outputs(again, x).items():
        np.testing.assert_allclose(prediction, expected[task], atol=1e-6)


def freeze_ours(model: keras.Model) -> None:
    for layer in our_layers(model):
        layer.trainable = False


def freeze_first_sub_layers(model: keras.Model) -> None:
    for layer in our_layers(model):
        for sub_layer in layer._flatten_layers(include_self=False):
            if sub_layer.variables:
                sub_layer.trainable = False
                break


def freeze_last_sub_layers(model: keras.Model) -> None:
    for layer in our_layers(model):
        for sub_layer in reversed(list(layer._flatten_layers())[1:]):
            if sub_layer.variables:
                sub_layer.trainable = False
                break


def our_layers(model: keras.Model) -> list[keras.layers.Layer]:
    return [
        x for x in model.layers if type(x).__module__.startswith("keras_mtl")
    ]


def trained_places(model: keras.Model) -> list[int]:
    """Which variables are trained, by place: paths differ in a clone."""
    weights = model.weights
    trained = {id(v) for v in model.trainable_variables}
    return [i for i, v in enumerate(weights) if id(v) in trained]


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("name", slow_except(CASES, "cross_stitch"))
def test_what_is_quantized_comes_back_from_a_file(name, tmp_path):
    model = make_model(name)
    with warnings.catch_warnings():
        # That activations and the like cannot be quantized.
        warnings.simplefilter("ignore", UserWarning)
        model.quantize("int8")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x, _ = make_data()
    outputs, expected = numpy_outputs(loaded, x), numpy_outputs(model, x)
    for task in TASKS:
        np.testing.assert_array_equal(outputs[task], expected[task])


@pytest.mark.parametrize("name", slow_except(CASES, *QUICK))
def test_what_is_frozen_stays_frozen_in_a_file(name, tmp_path):
    model = make_model(name)
    freeze_ours(model)
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        # Such as that the state of the optimizer does not fit.
        warnings.simplefilter("error", UserWarning)
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert trained_places(loaded) == trained_places(model)


@pytest.mark.parametrize("name", slow_except(CASES, *QUICK))
def test_what_is_frozen_stays_frozen_in_a_clone(name):
    model = make_model(name)
    for freeze in (
        freeze_last_sub_layers,
        freeze_first_sub_layers,
        freeze_ours,
    ):
        freeze(model)
        trained = trained_places(model)
        # And once more, from what was not frozen by hand.
        clone = keras.models.clone_model(model)
        again = type(clone).from_config(clone.get_config())
        assert trained_places(clone) == trained
        assert trained_places(again) == trained


def test_every_layer_has_a_case():
    made = set()
    for name in CASES:
        model = make_model(name)
        made |= {type(layer) for layer in model._flatten_layers()}
    public = {
        value
        for value in vars(keras_mtl.layers).values()
        if isinstance(value, type) and issubclass(value, keras.layers.Layer)
    }
    assert public <= made, public - made


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
