"""Tests of CRMOGM."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import MGDA
from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators import Projection
from keras_mtl.aggregators import Sum
from keras_mtl.aggregators.cr_mogm import CRMOGM
from keras_mtl.aggregators.grad_drop import GradDrop
from keras_mtl.aggregators.grad_vac import GradVac
from keras_mtl.methods import GradientSpec
from keras_mtl.methods import StepInfo

# MGDA's weights of these are [0.5, 0.5], [0.8, 0.2] and [0.2, 0.8].
GRAMS = [np.diag([1.0, 1.0]), np.diag([1.0, 4.0]), np.diag([4.0, 1.0])]
FRESH = np.array([[0.5, 0.5], [0.8, 0.2], [0.2, 0.8]])


def value(variable):
    return ops.convert_to_numpy(variable)


def draws_of(method, grams, **kwargs):
    return [value(method.update(gram, StepInfo(**kwargs))) for gram in grams]


class TestWeights:
    def test_by_hand(self):
        draws = draws_of(CRMOGM(MGDA(), decay=0.75), GRAMS)
        expected = [[0.5, 0.5], [0.575, 0.425], [0.48125, 0.51875]]
        np.testing.assert_allclose(draws, expected, rtol=1e-5)

    def test_by_name(self):
        np.testing.assert_allclose(
            draws_of(CRMOGM(), GRAMS),
            draws_of(CRMOGM(MGDA(), decay=0.9), GRAMS),
            rtol=1e-6,
        )

    def test_no_decay_is_the_other_method(self):
        draws = draws_of(CRMOGM("mgda", decay=0.0), GRAMS)
        np.testing.assert_allclose(draws, FRESH, rtol=1e-5)

    def test_each_matrix_has_its_average(self):
        method = CRMOGM(MGDA(), decay=0.5)
        batch = draws_of(method, [np.stack(GRAMS), np.stack(GRAMS[::-1])])
        np.testing.assert_allclose(batch[0], FRESH, rtol=1e-5)
        expected = (FRESH + FRESH[::-1]) / 2
        np.testing.assert_allclose(batch[1], expected, rtol=1e-5)

    def test_sequence_of_a_random_method(self):
        rows = np.random.default_rng(0).standard_normal((4, 5, 3))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        fresh = draws_of(PCGrad(seed=3), grams)
        draws = draws_of(CRMOGM(PCGrad(seed=3), decay=0.5), grams)
        expected = fresh[0]
        for draw, new in zip(draws, fresh):
            expected = 0.5 * expected + 0.5 * new
            np.testing.assert_allclose(draw, expected, rtol=1e-5)

    def test_losses_are_passed_on(self):
        losses = np.array([1.0, 2.0])
        fresh = MGDA("loss").weights(GRAMS[1], losses)
        draws = draws_of(CRMOGM(MGDA("loss")), GRAMS[1:2], losses=losses)
        np.testing.assert_allclose(draws[0], value(fresh), rtol=1e-6)

    def test_main_task_is_found_by_name(self):
        method = CRMOGM(Projection("b", smoothing=1.0, granularity="layer"))
        assert method.granularity == "layer"
        method.build(["a", "b"])
        gram = np.array([[4.0, -1.0], [-1.0, 1.0]])
        np.testing.assert_allclose(value(method.update(gram)), [1, 2])


class TestState:
    def test_variables(self):
        method = CRMOGM(GradVac(seed=0))
        method.build(GradientSpec(2, (3,)))
        shapes = {v.name: tuple(v.shape) for v in method.variables}
        assert shapes.pop("seed_generator_state") == (2,)
        assert shapes == {
            "targets": (3, 2, 2),
            "averages": (3, 2),
            "seen": (3, 2),
        }
        assert not any(v.trainable for v in method.variables)

    def test_resumed(self):
        rows = np.random.default_rng(0).standard_normal((4, 5, 3))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        method = CRMOGM(GradVac(beta=0.5))
        draws_of(method, grams[:2])
        state = [value(v) for v in method.variables]
        expected = draws_of(method, grams[2:])
        resumed = CRMOGM(GradVac(beta=0.5))
        resumed.build(GradientSpec(5))
        for variable, held in zip(resumed.variables, state, strict=True):
            variable.assign(held)
        np.testing.assert_array_equal(draws_of(resumed, grams[2:]), expected)

    def test_a_look_is_no_step(self):
        method = CRMOGM(GradVac(beta=0.5, seed=1), decay=0.5)
        method.update(GRAMS[1])
        before = [value(v) for v in method.variables]
        seen = [value(method.weights(GRAMS[2])) for _ in range(2)]
        for variable, held in zip(method.variables, before, strict=True):
            np.testing.assert_array_equal(value(variable), held)
        seen.append(value(method.update(GRAMS[2])))
        np.testing.assert_allclose(seen[:2], [seen[2]] * 2, rtol=1e-6)

    def test_absent_tasks_keep_theirs(self):
        method = CRMOGM(MGDA(), decay=0.5)
        method.update(GRAMS[1])
        # A zero gradient would have the whole weight.
        gram, present = np.diag([0.0, 1.0]), np.array([False, True])
        (weights,) = draws_of(method, [gram], present=present)
        np.testing.assert_allclose(weights, [0.8, 0.6], atol=1e-5)
        np.testing.assert_allclose(value(method.averages), [0.8, 0.6], 1e-5)

    def test_absent_at_first(self):
        method = CRMOGM(MGDA(), decay=0.5)
        gram, present = np.diag([0.0, 1.0]), np.array([False, True])
        draws_of(method, [gram], present=present)
        (weights,) = draws_of(method, GRAMS[1:2], present=np.array([True] * 2))
        np.testing.assert_allclose(weights, [0.8, 0.6], atol=1e-5)

    def test_present_is_passed_on(self):
        method = CRMOGM(GradVac(beta=0.5), decay=0.5)
        gram, present = np.diag([0.0, 1.0]), np.array([False, True])
        (weights,) = draws_of(method, [gram], present=present)
        np.testing.assert_array_equal(weights, [1, 1])


class TestProperties:
    @pytest.mark.slow
    def test_order_of_tasks(self):
        testing.check_aggregator(
            CRMOGM(),
            [testing.assert_permutation_equivariant],
            testing.jacobians((3,)),
        )


class TestArguments:
    def test_configuration(self):
        method = CRMOGM(PCGrad("layer", seed=7), decay=0.5, name="mine")
        config = keras.saving.serialize_keras_object(method)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == method.get_config()
        assert type(again.aggregator) is PCGrad
        assert again.granularity == again.aggregator.granularity == "layer"

    @pytest.mark.parametrize("decay", [-0.1, 1, np.nan, None, True, "0.5"])
    def test_bad_decay(self, decay):
        with pytest.raises(ValueError, match="`decay` must be a number from 0"):
            CRMOGM(decay=decay)

    def test_methods_that_need_gradients(self):
        with pytest.raises(ValueError, match="GradDrop works on the grad"):
            CRMOGM(GradDrop())
        with pytest.raises(
            ValueError, match=r"Projection remembers.*Use `smoothing=1.0`"
        ):
            CRMOGM(Projection("a"))

    @pytest.mark.parametrize("aggregator", [None, "nothing", 3, Sum])
    def test_bad_aggregator(self, aggregator):
        with pytest.raises(ValueError, match="aggregator"):
            CRMOGM(aggregator)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
