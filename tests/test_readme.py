"""The code in README.md and other pages runs as it stands."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_mtl
from keras_mtl.comparison.run import Run
from tests.untrained import call

# Not resolved: under Bazel this is the directory of its links.
ROOT = Path(__file__).absolute().parent.parent
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "sharing.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"


def blocks(language, page=README):
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


def side(diff, sign):
    """One side of a diff: `-` is before, `+` is after."""
    kept = [line for line in diff.splitlines() if line[:1] in (" ", sign, "")]
    return "\n".join(line[1:] for line in kept)


@pytest.fixture
def namespace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    return {
        "keras": keras,
        "keras_mtl": keras_mtl,
        "x": rng.normal(size=(64, 32)).astype("float32"),
        "digits": rng.integers(0, 10, 64),
        "angles": rng.normal(size=(64, 1)).astype("float32"),
    }


@pytest.mark.slow
def test_before_and_after_train_and_all_else_follows(namespace, monkeypatch):
    monkeypatch.setattr(Run, "__call__", call)
    (diff,) = blocks("diff")
    exec(side(diff, "-"), namespace)
    namespace["model"].save("model.keras")
    stock = namespace["model"].history.history

    exec(side(diff, "+"), namespace)
    history = namespace["model"].history.history
    assert set(history) == {*stock, "gradient_conflict"}

    fit = {"digit": namespace["digits"], "angle": namespace["angles"]}
    namespace |= dict.fromkeys(
        ("train", "validation", "test"), (namespace["x"], fit)
    )
    namespace["metrics"] = {"digit": ["accuracy"], "angle": ["mae"]}
    namespace["make_model"] = lambda: keras.models.clone_model(untrained)
    untrained = namespace["model"]
    for block in blocks("python"):
        exec(block, namespace)
    namespace["model"].fit(namespace["x"], fit, verbose=0)
    assert isinstance(namespace["model"].aggregator, namespace["EqualNorms"])


@pytest.mark.slow
def test_advice_on_early_stopping(namespace):
    for block in blocks("diff"):
        exec(side(block, "+"), namespace)
    (advice,) = re.findall(
        r"`(keras\.callbacks\.EarlyStopping\(.*?\))`", README.read_text()
    )
    callback = eval(advice, namespace)
    fit = {"digit": namespace["digits"], "angle": namespace["angles"]}
    namespace["model"].fit(
        namespace["x"],
        fit,
        validation_data=(namespace["x"], fit),
        callbacks=[callback],
        verbose=0,
    )
    assert np.isfinite(callback.best)


@pytest.mark.slow
def test_the_guide_to_sharing_runs():
    namespace = {}
    for block in blocks("python", GUIDE):
        exec(block, namespace)
    assert set(namespace["bandit"].mean_utilities) == {"price", "rent"}


def test_the_method_with_state_trains_and_is_saved(tmp_path):
    block, _ = blocks("python", CONTRIBUTING)
    namespace = {"keras": keras, "keras_mtl": keras_mtl}
    exec(block, namespace)
    method = namespace["SteadyNorms"](decay=0.5)
    # The average of 1 and 3 is 2.
    update = method(np.diag([3.0, 1.0]).astype("float32"))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(update), [1.5, 1.0])
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2)(inputs)
    outputs = {t: keras.layers.Dense(1, name=t)(shared) for t in "ab"}
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    aggregator = namespace["SteadyNorms"](decay=0.5, granularity="layer")
    model.compile("sgd", loss=dict.fromkeys("ab", "mse"), aggregator=aggregator)
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    model.fit(x, dict.fromkeys("ab", x[:, :1]), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    norms = keras.ops.convert_to_numpy(model.aggregator.norms)
    assert norms.shape == (3, 2) and (norms != 1).any()
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(loaded.aggregator.norms), norms
    )


def test_the_method_that_remembers_gradients():
    _, block = blocks("python", CONTRIBUTING)
    namespace = {"keras": keras, "keras_mtl": keras_mtl}
    exec(block, namespace)
    method = namespace["Differences"]()
    rows = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    # Of zeros before the first step, then 2 * 3 - 1 times the sum of the rows.
    for gradients, times in ((rows, 2), (3 * rows, 5)):
        update = keras.ops.convert_to_numpy(method(gradients))
        np.testing.assert_allclose(update, times * rows.sum(axis=0))


@pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="reads the whole checkout"
)
@pytest.mark.parametrize(
    "page", [README, GUIDE, CONTRIBUTING], ids=lambda page: page.name
)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    local = [target for target in targets if "://" not in target]
    assert local
    missing = [t for t in local if not (page.parent / t).exists()]
    assert not missing


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
