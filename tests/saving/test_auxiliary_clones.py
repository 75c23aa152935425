"""Tests of `clone_model` on models with auxiliaries."""

import keras
import numpy as np
import pytest

from keras_mtl import MultiTaskModel
from tests.auxiliary_models import EAGERLY
from tests.auxiliary_models import LOSS
from tests.auxiliary_models import fresh
from tests.auxiliary_models import make_data
from tests.auxiliary_models import make_model

pytestmark = pytest.mark.backend


class TestClone:
    @pytest.mark.slow
    @pytest.mark.parametrize("compiled", [False, True])
    def test_keeps_the_auxiliaries_with_weights_of_its_own(self, compiled):
        x, y = make_data()
        model = fresh(0.5, bottleneck=4, as_tasks=True)
        if compiled:
            model.compile("sgd", LOSS, aggregator="pcgrad")
        clone = keras.models.clone_model(model)
        assert clone.auxiliaries is not model.auxiliaries
        assert clone.auxiliaries.get_config() == model.auxiliaries.get_config()
        kernels = [
            np.array(m.auxiliaries.heads["left"].output_dense.kernel)
            for m in (model, clone)
        ]
        assert kernels[0].shape == kernels[1].shape
        assert not np.array_equal(*kernels)
        if compiled:
            assert clone.task_names == model.task_names
        else:
            clone.compile("sgd", LOSS)
        clone.set_weights(model.get_weights())
        if not compiled:
            model.compile("sgd", LOSS)
        logs = [
            one.train_on_batch(x, y, return_dict=True) for one in (model, clone)
        ]
        assert "left_aux_loss" in logs[0]
        for name, value in logs[0].items():
            np.testing.assert_allclose(logs[1][name], value, rtol=1e-5)

    def test_with_functions_and_tensors_of_the_user(self):
        def renamed(layer):
            config = layer.get_config()
            config["name"] += "_clone"
            return type(layer).from_config(config)

        model = fresh(0.5)
        inputs = keras.Input((12,), name="other")
        calls = []

        def call(layer, *args, **kwargs):
            calls.append(layer.name)
            return layer(*args, **kwargs)

        clone = keras.models.clone_model(
            model,
            input_tensors=inputs,
            clone_function=renamed,
            call_function=call,
        )
        assert clone.auxiliaries.representation == "shared_clone"
        assert "shared_clone" in calls
        assert model.auxiliaries.representation == "shared"
        x, y = make_data()
        clone.compile("sgd", LOSS, run_eagerly=EAGERLY)
        logs = clone.train_on_batch(x, y, return_dict=True)
        assert np.isfinite(logs["left_aux_loss"])

    def test_shares_where_the_function_does(self):
        model = fresh(0.5)
        clone = keras.models.clone_model(model, clone_function=lambda x: x)
        assert clone.auxiliaries is model.auxiliaries
        # One on the same outputs is another model, without.
        other = MultiTaskModel(clone.input, clone.output)
        assert other.auxiliaries is None

    def test_within_another_model(self):
        model = fresh(0.5)
        inputs = keras.Input((12,))
        outer = keras.Model(inputs, model(inputs))
        clone = keras.models.clone_model(outer, recursive=True)
        (inner,) = [x for x in clone.layers if isinstance(x, MultiTaskModel)]
        assert inner.auxiliaries is not None
        assert inner.auxiliaries is not model.auxiliaries


@keras.saving.register_keras_serializable(package="test_auxiliary_clones")
class WithConstructor(MultiTaskModel):
    """Keras clones it to a plain model, as any class with a constructor."""

    def __init__(self, width):
        plain = make_model(width=width)
        super().__init__(plain.input, plain.output)
        self.width = width


class TestCloneOfAClassWithAConstructor:
    @pytest.mark.parametrize("compiled", [False, True])
    def test_is_a_plain_model_without_methods(self, compiled):
        model = WithConstructor(5)
        if compiled:
            model.compile("sgd", LOSS)
        clone = keras.models.clone_model(model)
        assert not isinstance(clone, MultiTaskModel)
        clone.set_weights(model.get_weights())
        x, y = make_data()
        for left, right in zip(
            *[keras.tree.flatten(m(x)) for m in (model, clone)], strict=True
        ):
            np.testing.assert_array_equal(left, right)
        if compiled:
            assert np.isfinite(clone.evaluate(x, y, verbose=0)[0])

    @pytest.mark.parametrize(
        "argument, value",
        [
            ("aggregator", "pcgrad"),
            ("weighting", "imtll"),
            ("missing_label", 0),
        ],
    )
    def test_says_what_to_do_with_methods(self, argument, value):
        model = WithConstructor(5)
        model.compile("sgd", LOSS, **{argument: value})
        message = f"WithConstructor.* takes no {argument}.*set_weights"
        with pytest.raises(ValueError, match=message):
            keras.models.clone_model(model)
        other = WithConstructor(5)
        other.compile("sgd", LOSS, **{argument: value})
        other.set_weights(model.get_weights())

    @pytest.mark.parametrize("compiled", [False, True])
    def test_says_what_to_do_with_auxiliaries(self, compiled):
        model = WithConstructor(5)
        model.auxiliaries = fresh(0.5, model={"width": 5}).auxiliaries
        if compiled:
            model.compile("sgd", LOSS)
        message = "WithConstructor.* takes no auxiliaries.*set_weights"
        with pytest.raises(ValueError, match=message):
            keras.models.clone_model(model)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
