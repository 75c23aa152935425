"""Tests of the property checks: each must find what it is for."""

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import MGDA
from keras_mtl.aggregators import Aggregator
from keras_mtl.aggregators import Orthogonal
from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators import Projection
from keras_mtl.aggregators import Sum

pytestmark = pytest.mark.backend

SMALL = testing.jacobians((2, 3))
ROWS = SMALL["normal_3"]


class Weights(Aggregator):
    """Weights from a function of the Gram matrix."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def weights(self, gram):
        return self.rule(ops.convert_to_tensor(gram))

    def get_config(self):
        return {}


class Rows(Aggregator):
    """An update from a function of the Jacobian."""

    sees = "gradients"

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def combine(self, jacobian, step):
        return self.rule(ops.convert_to_tensor(jacobian))


class Counting(Aggregator):
    """Gives the first task as many shares as it has been called."""

    def __init__(self):
        super().__init__()
        self.calls = self.add_state("calls")

    def weights(self, gram):
        return ops.ones_like(gram[..., 0]) * self.calls

    def update(self, gram, step):
        self.calls.assign(self.calls + 1.0)
        return self.weights(gram)


def diagonal(gram):
    return ops.diagonal(gram, axis1=-2, axis2=-1)


def without_one(gram):
    return diagonal(gram)[..., 1:]


def inverse_norms(gram):
    return diagonal(gram) ** -0.5


def squares(gram):
    return diagonal(gram)


def first_task_only(gram):
    ones = ops.ones_like(diagonal(gram))
    return ones * np.eye(gram.shape[-1], dtype="float32")[0]


def mixing_the_batch(gram):
    ones = ops.ones_like(diagonal(gram))
    return ones * ops.sum(gram) / (1 + ops.sum(gram))


class TestStructure:
    def test_holds(self):
        testing.assert_structure(Sum(), ROWS)
        testing.assert_structure(Rows(lambda j: ops.sum(j, axis=0)), ROWS)

    def test_weights_of_the_wrong_shape(self):
        class Short(Weights):
            def __call__(self, jacobian, losses=None):
                return ops.convert_to_tensor(jacobian)[0]

        with pytest.raises(AssertionError, match=r"weights .* \(3,\)"):
            testing.assert_structure(Short(without_one), ROWS)

    def test_update_of_the_wrong_shape(self):
        with pytest.raises(AssertionError, match=r"update .* shape \(6,\)"):
            testing.assert_structure(Rows(lambda j: j), ROWS)

    def test_not_finite(self):
        with pytest.raises(AssertionError, match="finite"):
            testing.assert_structure(
                Weights(inverse_norms), SMALL["one_zero_3"]
            )


class TestScaleInvariant:
    def test_holds(self):
        testing.assert_scale_invariant(Sum(), ROWS)

    def test_violated(self):
        with pytest.raises(AssertionError, match="scaled by 1e-15"):
            testing.assert_scale_invariant(Weights(squares), ROWS)


class TestPermutationEquivariant:
    def test_holds(self):
        testing.assert_permutation_equivariant(MGDA(), ROWS)

    def test_violated(self):
        with pytest.raises(AssertionError, match="tasks reversed"):
            testing.assert_permutation_equivariant(
                Weights(first_task_only), ROWS
            )


class TestNonConflicting:
    def test_holds(self):
        testing.assert_non_conflicting(MGDA(), SMALL["opposed_3"])

    def test_violated(self):
        rows = np.array([[1.0, 0.0], [-3.0, 1.0]], "float32")
        with pytest.raises(AssertionError, match="loss of task 0"):
            testing.assert_non_conflicting(Sum(), rows)

    def test_not_a_number_is_no_pass(self):
        rows = np.array([[1.0, 0.0], [np.nan, 1.0]], "float32")
        with pytest.raises(AssertionError):
            testing.assert_non_conflicting(Sum(), rows)


class TestStationary:
    def test_holds(self):
        testing.assert_stationary(MGDA(), SMALL["opposed_2"])
        testing.assert_stationary(Sum(), SMALL["all_zero_3"])

    def test_violated(self):
        rows = np.array([[1.0, 0.0], [-3.0, 0.0]], "float32")
        with pytest.raises(AssertionError, match="has length 2 where"):
            testing.assert_stationary(Sum(), rows)

    def test_not_a_number_is_no_pass(self):
        rows = np.array([[1.0, 0.0], [np.nan, 0.0]], "float32")
        with pytest.raises(AssertionError):
            testing.assert_stationary(Sum(), rows)


class TestBatched:
    @pytest.mark.slow
    def test_holds(self):
        testing.assert_batched(MGDA(), ROWS)
        testing.assert_batched(Rows(lambda j: j[0]), ROWS)

    def test_violated(self):
        with pytest.raises(AssertionError, match="of a batch"):
            testing.assert_batched(Weights(mixing_the_batch), ROWS)


class TestCompiled:
    def test_holds(self):
        testing.assert_compiled(PCGrad(seed=0), ROWS)

    def test_violated(self):
        frozen = np.random.default_rng(0)

        def rule(gram):
            # Python's randomness: another number in every trace.
            return ops.ones_like(diagonal(gram)) * float(frozen.uniform())

        with pytest.raises(AssertionError, match="jit_compile"):
            testing.assert_compiled(Weights(rule), ROWS)


class TestState:
    def test_calls_of_one_check_see_the_same_state(self):
        aggregator = Counting()
        testing.assert_permutation_equivariant(aggregator, ROWS)
        testing.assert_batched(aggregator, ROWS)
        assert float(ops.convert_to_numpy(aggregator.calls)) == 0

    def test_state_made_later_is_seen(self):
        aggregator = Projection(0, smoothing=1.0)
        testing.assert_structure(aggregator, ROWS)
        aggregator.make_reference([(2,)])
        testing.assert_structure(aggregator, ROWS)


class TestCheckAggregator:
    def test_passes(self):
        testing.check_aggregator(Sum(), matrices=SMALL)

    def test_names_the_property_and_the_matrix(self):
        with pytest.raises(
            AssertionError,
            match=r"Weights\(\) fails assert_scale_invariant on 'normal_2'",
        ):
            testing.check_aggregator(Weights(inverse_norms), matrices=SMALL)

    def test_passes_over_weights_that_are_not_to_be_had(self):
        class Tracking(Aggregator):
            transforms = True

            def transform(self, gradients, step):
                return gradients

            def weights(self, gram):
                raise NotImplementedError("Call `aggregator(jacobian)`.")

            def update(self, gram, step):
                return ops.ones_like(diagonal(gram))

        testing.check_aggregator(Tracking(), matrices=SMALL)

    def test_an_update_that_is_not_to_be_had_is_no_pass(self):
        class Unfinished(Aggregator):
            def weights(self, gram):
                raise NotImplementedError("To do.")

        with pytest.raises(NotImplementedError, match="To do."):
            testing.check_aggregator(Unfinished(), matrices=SMALL)

    def test_own_properties(self):
        seen = []

        def note(aggregator, jacobian):
            seen.append(jacobian.shape)

        testing.check_aggregator(Orthogonal(0), [note], SMALL)
        assert len(seen) == len(SMALL)

    @pytest.mark.slow
    def test_a_name_will_do(self):
        testing.check_aggregator("mgda", matrices=SMALL)

    @pytest.mark.parametrize("wrong", [None, "mdga", Sum, 3])
    def test_what_is_no_aggregator(self, wrong):
        with pytest.raises(ValueError, match="ggregator"):
            testing.check_aggregator(wrong, matrices=SMALL)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
