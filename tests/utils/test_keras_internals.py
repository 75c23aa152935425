"""What the private names of Keras must still be, one by one.

`test_contract.py` tests that they work; this tells which one is gone.
"""

import inspect

import keras
import pytest

from keras_mtl.utils import keras_internals

pytestmark = pytest.mark.backend


def test_functional_is_the_class_of_functional_models():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    assert type(model) is keras_internals.Functional
    assert hasattr(model, "_outputs_struct")


def test_flat_losses_have_the_fields_that_task_losses_replace():
    assert keras_internals.CompileLoss.Loss._fields == (
        "path",
        "loss",
        "loss_weights",
        "name",
    )


@pytest.mark.parametrize(
    "name",
    [
        "_aggregate_additional_loss",
        "_compute_loss",
        "_flatten_layers",
        "_get_metrics_result_or_logs",
        "_symbolic_build",
    ],
)
def test_methods_of_a_model(name):
    assert inspect.isfunction(getattr(keras.Model, name))


def test_a_forward_pass_is_not_symbolic():
    assert not keras_internals.in_symbolic_scope()


def test_nothing_is_scaled_on_one_replica():
    assert keras_internals.unscale_loss_for_distribution(2.0) == 2.0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
