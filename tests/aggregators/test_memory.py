"""Methods that remember something of gradients, in and out of a model."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import testing
from keras_mtl.aggregators import Aggregator
from keras_mtl.aggregators import Sum
from keras_mtl.methods import GradientSpec
from keras_mtl.trainers.combine import combine
from keras_mtl.trainers.objectives import Objectives

ROWS = np.array([[1.0, 2.0], [3.0, -1.0]], "float32")
LOSSES = np.array([1.0, 2.0], "float32")


@keras.saving.register_keras_serializable(package="test_memory")
class SumOfNorms(Aggregator):
    """Remembers, for each Gram matrix, the sum of the squares so far."""

    def create_state(self, spec):
        self.squares = self.add_state(
            "squares", (*spec.group_shape, spec.num_tasks)
        )

    def weights(self, gram):
        return ops.ones_like(ops.convert_to_tensor(gram)[..., 0])

    def update(self, gram, step=None):
        gram = ops.convert_to_tensor(gram)
        self.build_for(gram)
        new = self.squares + ops.diagonal(gram, axis1=-2, axis2=-1)
        self.squares.assign(new)
        return self.weights(gram)


@keras.saving.register_keras_serializable(package="test_memory")
class Lagging(Aggregator):
    """Sums the gradients of the step before; remembers the present ones."""

    transforms = True
    forgetting_hint = "Use a shorter memory."

    def create_state(self, spec):
        self.last = self.add_slots("last", spec.shapes, spec.num_tasks)

    def transform(self, gradients, step):
        rows = []
        for slot, column in zip(self.last, gradients):
            before = ops.unstack(ops.convert_to_tensor(slot))
            zero = ops.zeros_like(before[0])
            slot.assign(ops.stack([zero if g is None else g for g in column]))
            reached = [g is not None for g in column]
            rows.append(
                [*column, *(b if r else None for b, r in zip(before, reached))]
            )
        return rows

    def weights(self, gram):
        half = gram.shape[-1] // 2
        return ops.concatenate(
            [
                ops.zeros_like(gram[..., :half, 0]),
                ops.ones_like(gram[..., half:, 0]),
            ],
            axis=-1,
        )


@keras.saving.register_keras_serializable(package="test_memory")
class Median(Aggregator):
    sees = "entries"

    def combine(self, jacobian, step):
        assert jacobian.shape[0] == 2
        return ops.median(jacobian, axis=0)


class PresentTasks(Aggregator):
    def update(self, gram, step):
        taking_part = ops.cast(step.present, gram.dtype)
        return ops.ones_like(gram[..., 0]) * taking_part


def value(variable):
    return ops.convert_to_numpy(variable)


def objectives(present=None):
    return Objectives([], None, LOSSES, LOSSES, present, 1.0)


class TestAlone:
    def test_group_state_has_the_shape_of_the_first_call(self):
        method = SumOfNorms()
        assert not method.remembers
        method.update(np.stack([ROWS @ ROWS.T] * 3))
        method.update(np.stack([ROWS @ ROWS.T] * 3))
        assert method.remembers
        np.testing.assert_allclose(value(method.squares), [[10, 20]] * 3)
        with pytest.raises(ValueError, match=r"\(3, 2, 2\).*\(2, 2\)"):
            method.update(ROWS @ ROWS.T)

    def test_a_call_is_a_step(self):
        method = Lagging()
        np.testing.assert_array_equal(value(method(ROWS)), [0, 0])
        np.testing.assert_array_equal(value(method(-ROWS)), [4, 1])
        np.testing.assert_array_equal(value(method(ROWS)), [-4, -1])

    def test_rows_of_other_variables(self):
        method = Lagging()
        method.build(GradientSpec(2, (1,), ((2, 3),)))
        with pytest.raises(ValueError, match="new instance for each model"):
            method.build(GradientSpec(2, (1,), ((3,),)))
        assert method.last[0].shape == (2, 2, 3)
        method.build(GradientSpec(2, (1,), ((3,),)), replace=True)
        assert [v.shape for v in method.variables] == [(2, 3)]

    def test_methods_without_memory_make_none(self):
        method = Sum()
        method.build(GradientSpec(2, (3,), ((2, 3),)))
        method.build(GradientSpec(3, (1,), ((2,),)))
        assert not method.variables

    @pytest.mark.parametrize("method", [SumOfNorms(), Lagging()])
    def test_checks_see_no_state_of_each_other(self, method):
        testing.check_aggregator(method, matrices={"rows": ROWS})
        testing.assert_compiled(method, ROWS)
        assert not method.variables


class TestCombined:
    columns = [list(ROWS), [ROWS[0], None], list(2 * ROWS)]

    def test_every_group_has_its_slot(self):
        # The second variable is not shared: its group sees zeros.
        method = SumOfNorms("variable")
        method.build(GradientSpec(2, (3,)))
        result = combine(method, self.columns, [0, 1, 2], objectives())
        squares = [[5, 10], [0, 0], [20, 40]]
        np.testing.assert_allclose(value(method.squares), squares)
        np.testing.assert_allclose(value(result.gradients[1]), ROWS[0])
        np.testing.assert_allclose(value(result.weights), [1, 1])

    def test_tracked_rows_take_the_place_of_gradients(self):
        method = Lagging()
        method.build(GradientSpec(2, (1,), ((2,),) * 3))
        combine(method, self.columns, [0, 0, 0], objectives())
        result = combine(method, self.columns, [0, 0, 0], objectives())
        np.testing.assert_allclose(value(result.gradients[0]), ROWS.sum(0))
        np.testing.assert_allclose(value(result.gradients[1]), ROWS[0])
        np.testing.assert_allclose(value(result.gradients[2]), 2 * ROWS.sum(0))
        assert tuple(result.gram.shape) == (2, 2)
        np.testing.assert_allclose(value(result.weights), [0, 0])

    def test_methods_on_entries_see_the_tasks_that_reach(self):
        columns = [[ROWS[0], None, ROWS[1]], [None, *ROWS]]
        result = combine(Median(), columns, [0, 0], objectives())
        for gradient in result.gradients:
            np.testing.assert_allclose(value(gradient), np.median(ROWS, 0))

    def test_who_is_present(self):
        present = np.array([True, False])
        result = combine(
            PresentTasks(), self.columns, [0, 0, 0], objectives(present)
        )
        np.testing.assert_allclose(value(result.weights), [1, 0])
        np.testing.assert_allclose(value(result.gradients[0]), ROWS[0])


def make_model(aggregator, **arguments):
    inputs = keras.Input((3,))
    first = layers.Dense(4, "tanh", name="first")(inputs)
    shared = layers.Dense(2, "tanh", name="shared")(first)
    outputs = {name: layers.Dense(1, name=name)(shared) for name in "ab"}
    model = MultiTaskModel(inputs, outputs)
    loss = {"a": "mse", "b": "mse"}
    model.compile(
        keras.optimizers.SGD(0.1), loss, aggregator=aggregator, **arguments
    )
    return model


def make_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 3)).astype("float32")
    y = {name: rng.normal(size=(8, 1)).astype("float32") for name in "ab"}
    return x, y


class TestInAModel:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "granularity, groups", [("model", 1), ("layer", 4), ("variable", 8)]
    )
    def test_group_state(self, granularity, groups, tmp_path):
        model = make_model(SumOfNorms(granularity))
        model.fit(*make_data(), batch_size=4, verbose=0)
        squares = value(model.aggregator.squares)
        assert squares.shape == (groups, 2)
        # Heads are shared by nobody.
        assert (squares > 0).all(axis=1).sum() == {1: 1, 4: 2, 8: 4}[groups]
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(value(loaded.aggregator.squares), squares)

    @pytest.mark.slow
    def test_group_state_at_a_representation(self):
        model = make_model(SumOfNorms(), representation="shared")
        model.fit(*make_data(), batch_size=4, verbose=0)
        assert value(model.aggregator.squares).shape == (1, 2)

    @pytest.mark.slow
    def test_row_state(self, tmp_path):
        model = make_model(Lagging())
        before = [np.array(w) for w in model.get_layer("first").get_weights()]
        model.train_on_batch(*make_data())
        after = model.get_layer("first").get_weights()
        for old, new in zip(before, after):
            np.testing.assert_array_equal(old, new)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        for net in (model, loaded):
            net.train_on_batch(*make_data())
        for old, new, revived in zip(
            before,
            model.get_layer("first").get_weights(),
            loaded.get_layer("first").get_weights(),
        ):
            assert (old != new).any()
            np.testing.assert_allclose(revived, new, rtol=1e-6, atol=1e-7)

    def test_row_state_and_representation(self):
        with pytest.raises(ValueError, match="exclude each other.*shorter"):
            make_model(Lagging(), representation="shared")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
