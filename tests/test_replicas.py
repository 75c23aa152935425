"""Counting replicas."""

import pytest

from keras_mtl.replicas import num_replicas


def test_without_a_strategy_there_is_one():
    assert num_replicas() == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
