"""Tests of aggregators by name, and to and from configurations."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import aggregators
from keras_mtl.aggregators import MGDA
from keras_mtl.aggregators import Mean
from keras_mtl.aggregators import Orthogonal
from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators import Projection
from keras_mtl.aggregators import Sum
from keras_mtl.aggregators import UnweightedCosine
from keras_mtl.aggregators import WeightedCosine

WITH_ARGUMENTS = [
    Sum(granularity="layer", name="mine"),
    Mean(granularity="variable"),
    PCGrad(granularity="layer", seed=7, name="surgery"),
    MGDA(normalization="loss+", granularity="variable"),
    Projection("left", smoothing=0.5, granularity="layer", name="guard"),
    UnweightedCosine(1, smoothing=0.5, granularity="layer"),
    WeightedCosine("left", granularity="variable"),
    Orthogonal(main_task=0, smoothing=0.25),
]


@keras.saving.register_keras_serializable(package="keras_mtl_tests")
class Halves(aggregators.Aggregator):
    """An aggregator of a user's own."""

    def weights(self, gram):
        return 0.5 * ops.ones_like(ops.convert_to_tensor(gram)[..., 0])


class TestGet:
    @pytest.mark.parametrize(
        "name, cls",
        [
            ("sum", Sum),
            ("Mean", Mean),
            ("pcgrad", PCGrad),
            ("PCGrad", PCGrad),
            ("mgda", MGDA),
            ("MGDA", MGDA),
        ],
    )
    def test_by_name(self, name, cls):
        assert type(aggregators.get(name)) is cls

    def test_each_call_makes_its_own(self):
        assert aggregators.get("pcgrad") is not aggregators.get("pcgrad")

    def test_instance_and_none_pass_through(self):
        method = Halves()
        assert aggregators.get(method) is method
        assert aggregators.get(None) is None

    def test_by_configuration(self):
        config = aggregators.serialize(PCGrad(seed=3))
        assert aggregators.get(config).seed == 3

    def test_unknown_name_lists_the_known(self):
        with pytest.raises(ValueError, match=r"mgda.*pcgrad.*'pcgard'"):
            aggregators.get("pcgard")

    @pytest.mark.parametrize(
        "name",
        ["projection", "UnweightedCosine", "weighted_cosine", "orthogonal"],
    )
    def test_name_that_needs_a_main_task(self, name):
        with pytest.raises(ValueError, match=r"\(main_task=\.\.\.\)"):
            aggregators.get(name)

    def test_class_in_place_of_instance(self):
        with pytest.raises(ValueError, match=r"Write `PCGrad\(\.\.\.\)`"):
            aggregators.get(PCGrad)

    @pytest.mark.parametrize("identifier", [3, ["pcgrad"], object()])
    def test_anything_else(self, identifier):
        with pytest.raises(ValueError, match=r"must be a.*Received"):
            aggregators.get(identifier)


class TestSerialization:
    @pytest.mark.parametrize(
        "aggregator", WITH_ARGUMENTS, ids=lambda a: type(a).__name__
    )
    def test_round_trip_through_json(self, aggregator):
        config = json.loads(json.dumps(aggregators.serialize(aggregator)))
        again = aggregators.deserialize(config)
        assert type(again) is type(aggregator)
        assert again.get_config() == aggregator.get_config()

    @pytest.mark.parametrize(
        "aggregator", WITH_ARGUMENTS, ids=lambda a: type(a).__name__
    )
    def test_every_argument_is_in_the_configuration(self, aggregator):
        code = type(aggregator).__init__.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        arguments = code.co_varnames[1:count]
        assert set(arguments) == set(aggregator.get_config())

    def test_own_class(self):
        again = aggregators.deserialize(aggregators.serialize(Halves()))
        weights = ops.convert_to_numpy(again.weights(np.eye(2)))
        np.testing.assert_array_equal(weights, [0.5, 0.5])

    def test_class_that_is_not_registered(self):
        class Unknown(Halves):
            pass

        config = aggregators.serialize(Unknown())
        with pytest.raises(TypeError, match="Unknown"):
            aggregators.deserialize(config)
        again = aggregators.deserialize(
            config, custom_objects={"Unknown": Unknown}
        )
        assert type(again) is Unknown

    def test_something_that_is_no_aggregator(self):
        config = keras.saving.serialize_keras_object(keras.optimizers.SGD())
        with pytest.raises(ValueError, match="must describe a"):
            aggregators.deserialize(config)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
