"""Weights of models without auxiliaries, loaded into those that have them."""

import re
import warnings

import numpy as np
import pytest

from keras_mtl.auxiliaries.auxiliary_branches import add_auxiliary_branches
from keras_mtl.saving.auxiliary_weights import lacks_auxiliaries
from tests.auxiliary_models import EAGERLY
from tests.auxiliary_models import LOSS
from tests.auxiliary_models import fresh
from tests.auxiliary_models import make_data
from tests.auxiliary_models import make_model

pytestmark = pytest.mark.backend

FILES = ("model.weights.h5", "model.weights.json", "model.keras")
WORDS = "holds no weights of the model's auxiliaries.*load the weights first"


def save(model, path):
    if path.suffix == ".keras":
        model.save(path)
    else:
        # In gigabytes: more than one shard.
        is_sharded = path.suffix == ".json"
        model.save_weights(path, max_shard_size=3e-6 if is_sharded else None)


def with_branches():
    return add_auxiliary_branches(make_model(), ["shared"])


def by_name(weights):
    return {v.path: np.array(v) for v in weights}


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: fresh(0.5), with_branches])
@pytest.mark.parametrize("file", FILES)
def test_all_but_auxiliaries_are_loaded(make, file, tmp_path):
    plain, model = make_model(), make()
    plain.set_weights([w + 1 for w in plain.get_weights()])
    save(plain, tmp_path / file)
    before = by_name(model.auxiliaries.weights)
    with pytest.warns(UserWarning, match=re.compile(WORDS, re.DOTALL)):
        model.load_weights(tmp_path / file)
    x, _ = make_data()
    for task, expected in plain.predict(x, verbose=0).items():
        outputs = model.predict(x, verbose=0)[task]
        np.testing.assert_array_equal(outputs, expected)
    after = by_name(model.auxiliaries.weights)
    assert all(np.array_equal(before[path], after[path]) for path in before)


@pytest.mark.parametrize("file", FILES)
def test_auxiliaries_of_the_file_are_loaded_without_words(file, tmp_path):
    model, other = fresh(0.5), fresh(0.5)
    model.set_weights([w + 1 for w in model.get_weights()])
    save(model, tmp_path / file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.load_weights(tmp_path / file)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


# The optimizer has no state before the first step.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Skipping variable loading")
def test_training_begins_with_what_was_loaded(tmp_path):
    path = tmp_path / "plain.weights.h5"
    plain = make_model()
    plain.save_weights(path)
    model = fresh(0.5)
    model.compile("adam", LOSS, aggregator="pcgrad", run_eagerly=EAGERLY)
    with pytest.warns(UserWarning, match="auxiliaries"):
        model.load_weights(path)
    x, y = make_data()
    before = model.auxiliaries.get_weights()
    model.fit(x, y, verbose=0)
    for old, new in zip(before, model.auxiliaries.get_weights(), strict=True):
        assert not np.array_equal(old, new)


@pytest.mark.parametrize("file", FILES)
# By Keras, of the layers that do not fit.
@pytest.mark.filterwarnings(
    "ignore:Skipping nested container", "ignore:A total of 3 objects"
)
def test_what_keras_refuses_is_refused(file, tmp_path):
    other = make_model(width=7)
    save(other, tmp_path / file)
    model = fresh(0.5)
    with pytest.raises(ValueError, match="could not be loaded"):
        model.load_weights(tmp_path / file)
    before = model.auxiliaries.get_weights()
    with pytest.warns(UserWarning, match="auxiliaries"):
        model.load_weights(tmp_path / file, skip_mismatch=True)
    for old, new in zip(before, model.auxiliaries.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("file", [*FILES, "model.h5"])
def test_files_that_are_none_are_left_to_keras(file, tmp_path):
    path = tmp_path / file
    assert not lacks_auxiliaries(path)
    with pytest.raises((OSError, ValueError)) as expected:
        make_model().load_weights(path)
    with pytest.raises(type(expected.value)):
        fresh(0.5).load_weights(path)
    path.write_text("{}")
    assert not lacks_auxiliaries(path)


def test_objects_that_the_user_skips_are_skipped_as_well(tmp_path):
    path = tmp_path / "plain.weights.h5"
    plain, model = make_model(), fresh(0.5)
    plain.set_weights([w + 1 for w in plain.get_weights()])
    plain.save_weights(path)
    kept = model.get_layer("shared").get_weights()
    with pytest.warns(UserWarning, match="auxiliaries"):
        model.load_weights(path, objects_to_skip=[model.get_layer("shared")])
    for old, new in zip(
        kept, model.get_layer("shared").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(
        model.get_layer("right").kernel, plain.get_layer("right").kernel
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
