"""Comparisons of models that train in no time."""

import pytest

from keras_mtl.comparison import Comparison
from tests.comparison.fakes import METHODS
from tests.comparison.fakes import METRICS
from tests.comparison.fakes import build


@pytest.fixture
def memory():
    """Faster than a file."""
    optuna = pytest.importorskip("optuna")
    return optuna.storages.InMemoryStorage()


@pytest.fixture
def compare(tmp_path, memory):
    def make(methods=METHODS, metrics=METRICS, build=build, **kwargs):
        kwargs = {"directory": tmp_path, "storage": memory, **kwargs}
        return Comparison(build, methods, metrics, **kwargs)

    return make
