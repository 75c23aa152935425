"""Methods that hold another one take over what it declares."""

import pytest

from keras_mtl.aggregators import CRMOGM
from keras_mtl.aggregators import MGDA
from keras_mtl.aggregators import Averaged
from keras_mtl.aggregators import CAGrad
from keras_mtl.aggregators.decaying_rule import rule_of

METHODS = [Averaged, CRMOGM]


@pytest.mark.parametrize("method", METHODS)
def test_it_is_as_the_rule_is(method):
    rule = CAGrad(granularity="layer")
    held = method(rule)
    assert held.granularity == "layer"
    assert (held.scale_free, held.scope) == (rule.scale_free, rule.scope)
    assert held.methods == [rule]


@pytest.mark.parametrize("method", METHODS)
def test_configuration(method):
    held = method("mgda", decay=0.5)
    again = method.from_config(held.get_config())
    assert again.get_config() == held.get_config()
    assert "granularity" not in held.get_config()


@pytest.mark.parametrize("method", METHODS)
def test_the_decay_stays_below_one(method):
    with pytest.raises(ValueError, match="`decay`"):
        method(decay=1.0)


def test_rules_see_inner_products():
    assert isinstance(rule_of("mgda"), MGDA)
    with pytest.raises(ValueError, match="works on the gradients"):
        rule_of("grad_drop")
    with pytest.raises(ValueError, match="Received: aggregator=None"):
        rule_of(None)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
