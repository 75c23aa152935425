"""What `MultiTaskModel` does with the gradients, losses and labels of tasks.

That it is stock Keras otherwise stands in `test_contract.py`.
"""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators
from tests import two_replicas
from tests.two_tasks import ON_TENSORFLOW
from tests.two_tasks import QUICK
from tests.two_tasks import assert_close
from tests.two_tasks import gradients
from tests.two_tasks import make_model

pytestmark = pytest.mark.backend


class TestGradientConflict:
    def test_is_the_share_of_pairs_over_all_steps(self):
        # Task t wants the one weight to be t's label: signs are known.
        inputs = keras.Input((1,))
        shared = layers.Dense(
            1, use_bias=False, kernel_initializer="zeros", name="shared"
        )(inputs)
        names = ["p", "q", "r"]
        outputs = {n: layers.Identity(name=n)(shared) for n in names}
        model = MultiTaskModel(inputs, outputs)
        model.compile(
            keras.optimizers.SGD(0.0),
            loss=dict.fromkeys(names, "mse"),
            aggregator="pcgrad",
            **QUICK,
        )
        x = np.ones((4, 1), "float32")
        # First step: p against q and r. Second: no conflict.
        y = {
            "p": np.array([[1], [1], [1], [1]], "float32"),
            "q": np.array([[-1], [-1], [1], [1]], "float32"),
            "r": np.array([[-1], [-1], [1], [1]], "float32"),
        }
        logs = model.fit(
            x, y, batch_size=2, shuffle=False, validation_data=(x, y), verbose=0
        ).history
        np.testing.assert_allclose(logs["gradient_conflict"], [(2 / 3 + 0) / 2])
        assert "val_gradient_conflict" not in logs
        assert set(logs) - {"gradient_conflict"} == {
            f"{prefix}{name}loss"
            for prefix in ("", "val_")
            for name in ("", "p_", "q_", "r_")
        }


class TestModelClasses:
    def test_functional_and_subclassed_in_one_process(self):
        class Own(MultiTaskModel):
            def train_me(self):
                return "own"

        class Subclassed(MultiTaskModel):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(2)

            def call(self, inputs):
                return self.dense(inputs)

        inputs = keras.Input((4,))
        tensor = layers.Dense(2, name="out")(inputs)
        functional = Own(inputs, tensor)
        assert functional.train_me() == "own"
        assert functional.get_layer("out") is not None
        x = np.ones((2, 4), "float32")
        for model in (functional, Subclassed(), MultiTaskModel(inputs, tensor)):
            assert isinstance(model, MultiTaskModel)
            assert isinstance(model, keras.Model)
            assert tuple(model(x).shape) == (2, 2)
        assert "Functional" not in [c.__name__ for c in MultiTaskModel.__mro__]

    def test_compiling_anew_changes_the_method(self):
        model = make_model()
        first = gradients(model=model, aggregator="mean")
        names = [v.path for v in model.variables]
        model = make_model()
        gradients(
            model=model,
            aggregator=aggregators.Projection("a"),
            optimizer=keras.optimizers.SGD(0.0),
        )
        assert len(model.variables) > len(names)
        second = gradients(model=model, aggregator="mean")
        assert_close(first, second)
        assert len(model.variables) == len(names)
        assert "gradient_conflict" in [m.name for m in model.metrics]
        gradients(model=model, aggregator=None)
        assert "gradient_conflict" not in [m.name for m in model.metrics]


MIRRORED = """
from tests import two_replicas

two_replicas.split_processor()
import keras
import numpy as np
from keras import layers
from keras_mtl import MultiTaskModel, aggregators, weightings

def late(step):
    return keras.ops.cast(step, "float32") / 2

RULES = {
    "pcgrad, schedule": lambda: {
        "aggregator": aggregators.PCGrad(seed=1),
        "weighting": weightings.Schedule({"a": late}),
    },
    "projection, svd": lambda: {
        "aggregator": aggregators.Projection("b"),
        "weighting": weightings.SVDWeights({"a": 0.5}),
    },
    "mgda_ub": lambda: {"aggregator": "mgda", "representation": "shared"},
    "of losses": lambda: {"aggregator": aggregators.MGDA("loss")},
    "averages": lambda: {"aggregator": aggregators.DBMTL(beta=0.5)},
    "targets": lambda: {"aggregator": aggregators.GradVac(seed=1)},
    "mgda, random": lambda: {
        "weighting": weightings.RandomLossWeighting(seed=1),
        "aggregator": "mgda",
    },
}

def train(rule):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    shared = layers.Dense(
        6, "tanh", kernel_regularizer="l2", name="shared"
    )(inputs)
    names = ["a", "b", "c"]
    model = MultiTaskModel(
        inputs, {n: layers.Dense(1, name=n)(shared) for n in names}
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 4)).astype("float32")
    y = {n: rng.normal(size=(24, 1)).astype("float32") for n in names}
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=dict.fromkeys(names, "mse"),
        jit_compile=False,
        **rule(),
    )
    logs = model.fit(
        x, y, batch_size=12, epochs=2, shuffle=False, verbose=0
    ).history
    values = [np.array(v) for v in model.variables]
    return values, logs

two_replicas.compare(train, RULES)
"""


@pytest.mark.slow
@pytest.mark.skipif(not ON_TENSORFLOW, reason="tf.distribute is TensorFlow's")
def test_two_replicas_equal_one_device():
    two_replicas.run(MIRRORED)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
