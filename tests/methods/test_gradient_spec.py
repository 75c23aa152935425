"""What a model tells its aggregator of gradients before there are any."""

import keras
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl.aggregators import Sum
from keras_mtl.methods import GradientSpec

pytestmark = pytest.mark.backend


class Probe(Sum):
    """Keeps what it was told last."""

    def create_state(self, spec):
        self.told = spec


def told(**arguments):
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2, name="shared")(inputs)
    outputs = {t: keras.layers.Dense(1, name=t)(shared) for t in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.compile("sgd", dict.fromkeys("ab", "mse"), **arguments)
    return model.aggregator.told


@pytest.mark.parametrize(
    "granularity, groups", [("model", 1), ("layer", 3), ("variable", 6)]
)
def test_groups_and_tasks(granularity, groups):
    spec = told(aggregator=Probe(granularity))
    # A method that transforms no gradients is not told their shapes.
    assert spec == GradientSpec(2, (groups,), None, ("a", "b"))


def test_shapes_are_those_of_the_variables():
    class Transforming(Probe):
        transforms = True

        def transform(self, gradients, step):
            return gradients

    spec = told(aggregator=Transforming())
    assert spec.shapes == ((3, 2), (2,), (2, 1), (1,), (2, 1), (1,))


def test_one_group_at_a_representation():
    spec = told(aggregator=Probe("variable"), representation="shared")
    assert spec.group_shape == (1,)


def test_outside_of_a_model_little_is_known():
    assert GradientSpec(3) == (3, (), None, None)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
