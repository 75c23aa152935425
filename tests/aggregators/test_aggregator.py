"""Tests of the base class of aggregators."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.aggregators import Aggregator
from keras_mtl.aggregators import UPGrad
from keras_mtl.methods import StepInfo

JACOBIAN = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")


class FirstTask(Aggregator):
    """Weights of one for the first task and zero for the others."""

    def weights(self, gram):
        gram = ops.convert_to_tensor(gram)
        return ops.concatenate(
            [ops.ones_like(gram[..., :1, 0]), ops.zeros_like(gram[..., 1:, 0])],
            axis=-1,
        )


class Largest(Aggregator):
    """The entry of largest size in every column: needs the gradients."""

    sees = "gradients"

    def combine(self, jacobian, step):
        jacobian = ops.convert_to_tensor(jacobian)
        best = ops.argmax(ops.abs(jacobian), axis=0)
        return ops.take_along_axis(jacobian, best[None], axis=0)[0]


class TestAggregator:
    def test_combine_uses_the_weights(self):
        combined = ops.convert_to_numpy(FirstTask()(JACOBIAN))
        np.testing.assert_array_equal(combined, JACOBIAN[0])

    def test_combine_keeps_the_dtype(self):
        combined = FirstTask()(JACOBIAN.astype("float16"))
        assert keras.backend.standardize_dtype(combined.dtype) == "float16"

    def test_combine_can_be_overridden(self):
        combined = ops.convert_to_numpy(Largest()(JACOBIAN))
        np.testing.assert_array_equal(combined, [6, 1, 1])

    def test_rows_method_has_no_weights(self):
        with pytest.raises(NotImplementedError, match=r"Largest.*aggregator\("):
            Largest().weights(JACOBIAN @ JACOBIAN.T)

    def test_neither_method_overridden(self):
        class Empty(Aggregator):
            pass

        with pytest.raises(TypeError, match=r"Empty must override.*weights"):
            Empty()

    @pytest.mark.parametrize(
        "members, message",
        [
            ({"sees": "rows"}, "sees` must be one of"),
            ({"sees": "entries"}, r"must override `combine\("),
            ({"combine": True}, 'Declare `sees = "gradients"`'),
            ({"transform": True}, "Declare `transforms = True`"),
            ({"transforms": True}, "must override `transform"),
        ],
    )
    def test_hooks_and_declarations_that_do_not_fit(self, members, message):
        hooks = {
            name: lambda self, *args: args[0]
            for name, value in members.items()
            if name in ("combine", "transform")
        }
        cls = type("Wrong", (FirstTask,), {**members, **hooks})
        with pytest.raises((TypeError, ValueError), match=message):
            cls()

    @pytest.mark.parametrize("hides", [True, False])
    def test_absent_tasks_are_hidden_or_zero(self, hides):
        class Watching(FirstTask):
            takes_zero_gradients = not hides

            def weights(self, gram):
                self.seen = ops.convert_to_numpy(gram)
                return super().weights(gram)

        method = Watching()
        gram = np.diag([4.0, 0.0]).astype("float32")
        method.update(gram, StepInfo(present=np.array([True, False])))
        assert method.seen[1, 1] == (4e6 if hides else 0)
        np.testing.assert_array_equal(method.seen[0], gram[0])

    @pytest.mark.parametrize("granularity", ["model", "layer", "variable"])
    def test_granularities(self, granularity):
        assert FirstTask(granularity).granularity == granularity

    @pytest.mark.parametrize("granularity", ["row", None, 1])
    def test_unknown_granularity(self, granularity):
        with pytest.raises(
            ValueError, match=r"`granularity` must be one of .*Received"
        ):
            FirstTask(granularity=granularity)

    def test_config_round_trip(self):
        config = FirstTask(granularity="layer", name="mine").get_config()
        assert config == {"granularity": "layer", "name": "mine"}
        assert FirstTask.from_config(config).get_config() == config


def test_combine_of_inner_products_is_a_call():
    rows = np.array([[-4.0, 1.0], [6.0, 1.0]], "float32")
    method = UPGrad()
    found, expected = method.combine(rows), method(rows)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected)
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
