"""Comparisons in which nothing is trained."""

import pytest

from keras_mtl.comparison.run import Run
from tests.untrained import call


@pytest.fixture
def untrained(monkeypatch):
    """Models are built and called, and have made-up metrics."""
    monkeypatch.setattr(Run, "__call__", call)
