"""What `methods` says of a method."""

import keras
import pytest

from keras_mtl.aggregators import PCGrad
from keras_mtl.comparison.method_arguments import MethodArguments


def test_each_model_has_its_own():
    rule = PCGrad()
    given = {"aggregator": rule, "loss_weights": {"left": 2.0}}
    arguments = MethodArguments("mine", given, None)
    first, second = arguments.fresh(None), arguments.fresh(None)
    assert isinstance(first["aggregator"], PCGrad)
    rules = {id(rule), id(first["aggregator"]), id(second["aggregator"])}
    assert len(rules) == 3
    assert first["loss_weights"] is not second["loss_weights"]
    assert (
        arguments.describe()
        == MethodArguments(
            "mine", {**given, "aggregator": PCGrad()}, None
        ).describe()
    )


def test_functions_of_a_preference():
    equal, other = {"a": 0.5, "b": 0.5}, {"a": 1.0, "b": 0.0}
    arguments = MethodArguments(
        "sum", lambda weights: {"loss_weights": weights}, equal
    )
    assert arguments.fresh(None) == {"loss_weights": equal}
    assert arguments.fresh(other) == {"loss_weights": other}
    assert arguments.preferences([other]) == [None, other]
    assert MethodArguments("b", {}, equal).preferences([other]) == [None]


@pytest.mark.parametrize("given", ["pcgrad", lambda weights: "pcgrad"])
def test_no_arguments(given):
    with pytest.raises(ValueError, match=r"`methods\['sum'\]` must be a dict"):
        MethodArguments("sum", given, None)


def test_of_keras_and_functions():
    def given():
        adam = keras.optimizers.Adam(0.5)
        return {
            "optimizer": adam,
            "loss": lambda y, p: y,
            "metrics": [object()],
        }

    arguments = MethodArguments("a", given(), None)
    fresh = arguments.fresh(None)["optimizer"]
    assert fresh is not arguments.given["optimizer"]
    assert float(fresh.learning_rate) == 0.5
    # As in another process.
    assert (
        arguments.describe() == MethodArguments("a", given(), None).describe()
    )
    assert "learning_rate" in arguments.describe()


def test_a_copy_that_would_not_be_equal():
    class Mine(PCGrad):
        def __init__(self, alpha=1.0, name=None):
            super().__init__(name=name)
            self.alpha = alpha

        def get_config(self):
            return {"name": self.name}

    with pytest.raises(ValueError, match=r"Mine must return all.*'alpha'"):
        MethodArguments("mine", {"aggregator": [Mine(2.0)]}, None)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
