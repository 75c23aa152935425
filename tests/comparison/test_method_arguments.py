"""What `methods` says of a method."""

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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
