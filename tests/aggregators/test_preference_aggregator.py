"""Tests of the preference that several methods take."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.aggregators.aligned_mtl import AlignedMTL
from keras_mtl.aggregators.con_fig import ConFIG
from keras_mtl.aggregators.dual_proj import DualProj
from keras_mtl.aggregators.sdm_grad import SDMGrad
from keras_mtl.aggregators.upgrad import UPGrad

GRAM = np.array([[18.0, -22.0], [-22.0, 38.0]], "float32")
METHODS = [AlignedMTL, ConFIG, DualProj, SDMGrad, UPGrad]


def weights_of(aggregator):
    return ops.convert_to_numpy(aggregator.weights(GRAM))


@pytest.mark.parametrize("method", METHODS)
class TestPreference:
    def test_dict_is_in_any_order(self, method):
        expected = weights_of(method(preference=[1, 3]))
        named = method(preference={"b": 3, "a": 1})
        named.build(["a", "b"])
        np.testing.assert_array_equal(weights_of(named), expected)
        other = weights_of(method(preference=[3, 1]))
        assert np.abs(other - expected).max() > 0.1

    def test_array(self, method):
        aggregator = method(preference=np.array([1, 3]))
        assert aggregator.get_config()["preference"] == [1.0, 3.0]

    def test_config(self, method):
        aggregator = method(
            preference={"a": 1, "b": 2}, granularity="layer", name="mine"
        )
        again = method.from_config(aggregator.get_config())
        assert again.get_config() == aggregator.get_config()
        assert again.preference == {"a": 1.0, "b": 2.0}
        assert (again.granularity, again.name) == ("layer", "mine")

    @pytest.mark.parametrize(
        "preference", [[1, -1], [0, 0], {"a": 0.0}, 2.0, "ab", [np.nan], []]
    )
    def test_bad_values(self, method, preference):
        with pytest.raises(ValueError, match="`preference` must"):
            method(preference=preference)

    def test_must_fit_the_tasks(self, method):
        with pytest.raises(ValueError, match="`preference` must have a number"):
            method(preference=[1, 2, 3]).build(["a", "b"])
        with pytest.raises(ValueError, match="`preference` must have a number"):
            weights_of(method(preference=[1, 2, 3]))
        with pytest.raises(ValueError, match="no tasks of the model"):
            method(preference={"a": 1, "c": 1}).build(["a", "b"])

    def test_names_wait_for_the_tasks(self, method):
        with pytest.raises(ValueError, match="does not know its tasks yet"):
            weights_of(method(preference={"a": 1, "b": 2}))

    def test_has_no_state(self, method):
        assert method().variables == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
