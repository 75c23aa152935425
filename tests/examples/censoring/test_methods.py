"""Which combinations of settings there are."""

import pytest

from examples.censoring import methods
from examples.censoring.methods import Setting
from keras_mtl.aggregators import Projection


def test_settings_that_differ():
    found = methods.settings(
        ["single_task", "multi_task", "projection"],
        [0.1, 1.0],
        ["model", "variable"],
        [1.0, 0.01],
    )
    assert len(found) == len(set(found)) == 1 + 2 + 2 * 2 * 2
    assert found[0] == Setting("single_task", 0.0)
    assert found[2] == Setting("multi_task", 1.0)
    assert found[-1] == Setting("projection", 1.0, "variable", 0.01)


def test_aggregator():
    assert (
        methods.aggregator(Setting("multi_task", 3.0), "main", "zeros") is None
    )
    setting = Setting("projection", 3.0, "variable", 0.1)
    rule = methods.aggregator(setting, "main", "first_gradient")
    assert isinstance(rule, Projection)
    assert rule.get_config() == {
        "name": "projection",
        "main_task": "main",
        "granularity": "variable",
        "smoothing": 0.1,
        "initial_reference": "first_gradient",
        "scope": "shared",
    }


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
