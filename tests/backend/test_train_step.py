"""The backend that Keras runs on takes the training step."""

import keras
import pytest

from keras_mtl.backend import train_step

pytestmark = pytest.mark.backend


def test_is_that_of_the_backend():
    module = train_step.TrainStep.__module__
    assert module == f"keras_mtl.backend.{keras.backend.backend()}"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
