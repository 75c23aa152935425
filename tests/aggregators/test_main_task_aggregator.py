"""Tests of what the methods with a main task share."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators import MainTaskAggregator
from keras_mtl.aggregators import Orthogonal
from keras_mtl.aggregators import Projection
from keras_mtl.aggregators import UnweightedCosine
from keras_mtl.aggregators import WeightedCosine
from keras_mtl.methods import GradientSpec
from keras_mtl.model import MultiTaskModel
from tests.tiers import slow_except

METHODS = [Projection, UnweightedCosine, WeightedCosine, Orthogonal]


def update_of(aggregator, rows):
    rows = np.asarray(rows, "float32")
    return ops.convert_to_numpy(aggregator(rows))


def plain(method, main_task=0):
    return method(main_task, smoothing=1.0, granularity="model")


class TestScope:
    """What the main task's head has to say."""

    def model(self, rule, **kwargs):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        shared = keras.layers.Dense(4, name="shared")(inputs)
        heads = {n: keras.layers.Dense(1, name=n)(shared) for n in "ab"}
        model = MultiTaskModel(inputs, heads)
        model.compile(
            keras.optimizers.SGD(1.0),
            {"a": "mse", "b": "mse"},
            aggregator=rule,
            run_eagerly=keras.backend.backend() == "tensorflow",
            **kwargs,
        )
        return model

    def steps(self, seed, rule, weights=(1.0, 1.0), count=1):
        """What the last of some steps from one point subtracts."""
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(8, 3)).astype("float32")
        y = {n: rng.normal(size=(8, 1)).astype("float32") for n in "ab"}
        model = self.model(rule, loss_weights=dict(zip("ab", weights)))
        shapes = [w.shape for w in model.get_weights()]
        start = [rng.normal(size=s).astype("float32") for s in shapes]
        for _ in range(count):
            model.set_weights(start)
            model.train_on_batch(x, y)
        after = model.get_weights()
        return [a - b for a, b in zip(start, after)]

    @pytest.mark.parametrize("method", slow_except(METHODS, Projection))
    @pytest.mark.parametrize("smoothing", [1.0, 0.5])
    @pytest.mark.parametrize("seed, agree", [(0, False), (5, True)])
    def test_all_adds_the_head_to_the_main_gradient(
        self, method, smoothing, seed, agree
    ):
        def vector(*args, **kwargs):
            parts = self.steps(seed, *args, **kwargs)
            return np.concatenate([g.ravel() for g in parts]).astype("float64")

        main, other = vector(None, (1.0, 0.0)), vector(None, (0.0, 1.0))
        square, dot = main @ main, main @ other
        assert (dot > 0) == agree
        cosine = dot / np.sqrt(square * (other @ other))
        kept = {
            Projection: other - min(dot, 0) / square * main,
            Orthogonal: other - dot / square * main,
            UnweightedCosine: other * (dot > 0),
            WeightedCosine: other * max(cosine, 0),
        }[method]
        rule = method(0, smoothing, "model", scope="all")
        # The average of equal gradients has their direction.
        found = vector(rule, count=2)
        np.testing.assert_allclose(found, main + kept, rtol=1e-4, atol=1e-4)

    def test_shared_leaves_the_head_alone(self):
        rule = Orthogonal(0, 1.0, "model")
        found, plain = self.steps(0, rule), self.steps(0, None)
        for head, expected in zip(found[2:], plain[2:], strict=True):
            np.testing.assert_allclose(head, expected, atol=1e-6)

    def test_config(self):
        rule = Projection(0, granularity="model", scope="all")
        assert Projection.from_config(rule.get_config()).scope == "all"

    @pytest.mark.parametrize(
        "arguments, message",
        [
            ({"scope": "heads"}, "`scope` must be one of.*'heads'"),
            (
                {"scope": "all", "granularity": "layer"},
                "needs `granul.*'layer'",
            ),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            Projection(0, **arguments)

    def test_at_a_representation(self):
        rule = Projection(0, 1.0, "model", scope="all")
        with pytest.raises(ValueError, match="representation.*looks at heads"):
            self.model(rule, representation="shared")


class TestMainTask:
    @pytest.mark.parametrize("method", METHODS)
    def test_by_index_without_a_model(self, method):
        rows = np.array([[0.0, 1.0], [1.0, 0.0], [-1.0, 1.0]])
        by_index = [plain(method, i)(rows) for i in range(3)]
        moved = [
            plain(method)(rows[[i, *(t for t in range(3) if t != i)]])
            for i in range(3)
        ]
        np.testing.assert_allclose(
            ops.convert_to_numpy(ops.stack(by_index)),
            ops.convert_to_numpy(ops.stack(moved)),
            atol=1e-6,
        )

    @pytest.mark.parametrize("method", METHODS)
    def test_by_name(self, method):
        rows = [[0.0, 1.0], [1.0, -1.0]]
        named = plain(method, "right")
        named.build(["left", "right"])
        assert named.main_index == 1
        np.testing.assert_array_equal(
            update_of(named, rows), update_of(plain(method, 1), rows)
        )

    def test_name_before_build(self):
        with pytest.raises(ValueError, match="tasks are not known yet"):
            plain(Projection, "left").weights(np.eye(2))

    def test_name_that_is_no_task(self):
        aggregator = plain(Projection, "middle")
        with pytest.raises(
            ValueError, match=r"`main_task`.*\['left', 'right'\].*'middle'"
        ):
            aggregator.build(["left", "right"])

    def test_index_that_is_no_task(self):
        with pytest.raises(ValueError, match=r"index below 2.*main_task=2"):
            plain(Projection, 2).build(["left", "right"])
        with pytest.raises(ValueError, match=r"main_task=2"):
            plain(Projection, 2).weights(np.eye(2))

    @pytest.mark.parametrize("main_task", [None, 1.0, True, ["left"]])
    def test_neither_name_nor_index(self, main_task):
        with pytest.raises(ValueError, match="`main_task` must be the name"):
            Projection(main_task)

    def test_negative_index(self):
        with pytest.raises(ValueError, match="counts from 0"):
            Projection(-1)

    @pytest.mark.parametrize(
        "smoothing", [0, -0.1, 1.5, None, True, "0.1", float("nan")]
    )
    def test_bad_smoothing(self, smoothing):
        with pytest.raises(ValueError, match="`smoothing` must be a number"):
            Projection(0, smoothing=smoothing)

    def test_rule_is_missing(self):
        class Empty(MainTaskAggregator):
            pass

        with pytest.raises(NotImplementedError, match="reference_weights"):
            Empty(0).weights(np.eye(2))


class TestAllMethods:
    @pytest.mark.parametrize("method", slow_except(METHODS, Projection))
    def test_universal_properties(self, method):
        testing.check_aggregator(plain(method))

    @pytest.mark.parametrize("method", METHODS)
    def test_order_of_the_auxiliaries(self, method):
        rows = testing.jacobians()["normal_8"]
        aggregator = plain(method)
        order = [0, *np.random.default_rng(0).permutation(np.arange(1, 8))]
        np.testing.assert_allclose(
            update_of(aggregator, rows[order]),
            update_of(aggregator, rows),
            atol=1e-5,
        )

    @pytest.mark.parametrize("method", METHODS)
    def test_auxiliaries_add_up(self, method):
        # Each meets the main task alone.
        rows = testing.jacobians()["normal_8"]
        aggregator = plain(method)
        alone = [
            update_of(aggregator, rows[[0, t]]) - rows[0] for t in range(1, 8)
        ]
        np.testing.assert_allclose(
            update_of(aggregator, rows), rows[0] + sum(alone), atol=1e-5
        )

    @pytest.mark.parametrize("method", METHODS)
    def test_scales_of_the_two_gradients(self, method):
        # P(c u, k v) = c P(u, v): a factor on the loss is one on its part.
        v, u = testing.jacobians()["normal_2"]
        aggregator = plain(method)
        part = update_of(aggregator, [v, u]) - v
        for c, k in ((3.0, 1.0), (1.0, 5.0), (1e-3, 1e3)):
            scaled = update_of(aggregator, [k * v, c * u]) - np.float32(k) * v
            np.testing.assert_allclose(
                scaled, c * part, rtol=1e-3, atol=1e-6 * k
            )

    @pytest.mark.parametrize("method", METHODS)
    def test_zero_auxiliary_adds_nothing(self, method):
        update = update_of(plain(method), [[1.0, 2.0], [0.0, 0.0]])
        np.testing.assert_array_equal(update, [1, 2])

    @pytest.mark.parametrize("method", METHODS)
    def test_main_gradient_as_reference(self, method):
        rows = testing.jacobians()["normal_3"].astype("float64")
        extended = np.vstack([rows, rows[:1]])
        aggregator = plain(method)
        weights = ops.convert_to_numpy(
            aggregator.reference_weights(
                ops.convert_to_tensor((extended @ extended.T).astype("float32"))
            )
        )
        np.testing.assert_allclose(
            weights @ extended, update_of(aggregator, rows), atol=1e-5
        )

    @pytest.mark.parametrize("method", METHODS)
    def test_reference_of_its_own(self, method):
        v, u, r = np.random.default_rng(1).standard_normal((3, 4))
        rows = np.stack([v, u, r])
        weights = ops.convert_to_numpy(
            plain(method).reference_weights(
                ops.convert_to_tensor((rows @ rows.T).astype("float32"))
            )
        )
        dot, square = u @ r, r @ r
        cosine = dot / np.sqrt(square * (u @ u))
        part = {
            Projection: u - min(dot, 0) / square * r,
            UnweightedCosine: u * (dot > 0),
            WeightedCosine: max(cosine, 0) * u,
            Orthogonal: u - dot / square * r,
        }[method]
        np.testing.assert_allclose(weights @ rows, v + part, atol=1e-5)


class TestReference:
    shapes = [(2, 3), (4,)]

    def gradients(self, seed):
        rng = np.random.default_rng(seed)
        return [
            ops.convert_to_tensor(rng.standard_normal(s).astype("float32"))
            for s in self.shapes
        ]

    def built(self, smoothing=0.25, **kwargs):
        aggregator = Projection(0, smoothing=smoothing, **kwargs)
        aggregator.make_reference(self.shapes)
        return aggregator

    def values(self, aggregator):
        return [ops.convert_to_numpy(slot) for slot in aggregator.reference]

    def test_transforms(self):
        assert Projection(0).transforms
        assert not plain(Projection).transforms

    def test_slots_are_state(self):
        aggregator = self.built()
        assert [tuple(v.shape) for v in aggregator.variables] == self.shapes
        assert [v.name for v in aggregator.variables] == [
            "reference_0",
            "reference_1",
        ]
        assert not any(v.trainable for v in aggregator.variables)
        assert all(not value.any() for value in self.values(aggregator))

    def test_moving_average(self):
        aggregator = self.built(smoothing=0.25)
        expected = [np.zeros(shape) for shape in self.shapes]
        for step in range(5):
            gradients = self.gradients(step)
            returned = aggregator.update_reference(gradients)
            expected = [
                0.25 * ops.convert_to_numpy(g) + 0.75 * m
                for g, m in zip(gradients, expected)
            ]
            for now, held, want in zip(
                returned, self.values(aggregator), expected
            ):
                np.testing.assert_allclose(held, want, rtol=1e-5, atol=1e-6)
                np.testing.assert_array_equal(ops.convert_to_numpy(now), held)

    def test_constant_gradient_gives_its_direction_at_once(self):
        aggregator = self.built(smoothing=0.01)
        gradients = self.gradients(0)
        for _ in range(3):
            averages = aggregator.update_reference(gradients)
            for average, gradient in zip(averages, gradients):
                a = ops.convert_to_numpy(average).ravel()
                g = ops.convert_to_numpy(gradient).ravel()
                cosine = a @ g / np.linalg.norm(a) / np.linalg.norm(g)
                np.testing.assert_allclose(cosine, 1, rtol=1e-6)

    def test_smoothing_of_one_is_the_gradient(self):
        aggregator = self.built(smoothing=1.0)
        for step in range(2):
            gradients = self.gradients(step)
            averages = aggregator.update_reference(gradients)
            for average, gradient in zip(averages, gradients):
                np.testing.assert_array_equal(
                    ops.convert_to_numpy(average),
                    ops.convert_to_numpy(gradient),
                )

    def test_none_leaves_its_slot_alone(self):
        aggregator = self.built()
        aggregator.update_reference(self.gradients(0))
        before = self.values(aggregator)
        returned = aggregator.update_reference([None, self.gradients(1)[1]])
        after = self.values(aggregator)
        assert returned[0] is None
        np.testing.assert_array_equal(after[0], before[0])
        assert (after[1] != before[1]).all()
        assert aggregator.update_reference([None, None]) == [None, None]

    def test_low_precision_gradients(self):
        aggregator = self.built()
        gradients = [ops.cast(g, "float16") for g in self.gradients(0)]
        for average in aggregator.update_reference(gradients):
            dtype = keras.backend.standardize_dtype(average.dtype)
            assert dtype == "float32"

    def test_building_again(self):
        aggregator = Projection(0)
        spec = GradientSpec(2, (1,), tuple(self.shapes))
        aggregator.build(spec)
        slots = list(aggregator.reference)
        aggregator.build(spec)
        assert all(a is b for a, b in zip(aggregator.reference, slots))
        with pytest.raises(ValueError, match="new instance"):
            aggregator.build(spec._replace(shapes=((3,),)))

    def test_wrong_number_of_gradients(self):
        with pytest.raises(ValueError, match=r"each slot.*2.*Received: 1"):
            self.built().update_reference(self.gradients(0)[:1])

    def test_that_starts_at_the_first_gradient(self):
        aggregator = self.built(
            smoothing=0.25, initial_reference="first_gradient"
        )
        average = None
        for step in range(4):
            gradients = self.gradients(step)
            found = aggregator.update_reference(gradients)[0]
            gradient = ops.convert_to_numpy(gradients[0])
            average = (
                gradient
                if average is None
                else 0.25 * gradient + 0.75 * average
            )
            np.testing.assert_allclose(
                ops.convert_to_numpy(found), average, rtol=1e-5, atol=1e-6
            )

    def test_a_step_without_main_gradient_is_not_the_first(self):
        aggregator = self.built(
            smoothing=0.25, initial_reference="first_gradient"
        )
        first, second = self.gradients(0)
        aggregator.update_reference(
            [0 * first, 0 * second], present=ops.convert_to_tensor(False)
        )
        gradients = self.gradients(1)
        for average, gradient in zip(
            aggregator.update_reference(gradients), gradients
        ):
            np.testing.assert_allclose(
                ops.convert_to_numpy(average),
                ops.convert_to_numpy(gradient),
                rtol=1e-6,
            )

    def test_unknown_start(self):
        with pytest.raises(ValueError, match="`initial_reference`.*'ones'"):
            Projection(0, initial_reference="ones")


@pytest.mark.parametrize("method", METHODS)
class TestByParameter:
    """`granularity="parameter"`: every entry is a problem of its own."""

    ROWS = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    ROWS[:, 2] = [0.0, 1.0, -2.0]  # no main gradient

    def test_entries_are_combined_on_their_own(self, method):
        found = update_of(method(1, 1.0, "parameter"), self.ROWS)
        for entry in range(7):
            column = self.ROWS[:, entry : entry + 1]
            expected = update_of(method(1, 1.0, "model"), column)
            np.testing.assert_allclose(found[entry], expected[0], atol=1e-6)

    def test_smoothing(self, method):
        aggregator = method(0, 0.5, "parameter")
        aggregator.build(["a", "b", "c"])
        average = np.zeros(7)
        for scale in ([1, 1, 1], [-0.2, 1, 1], [3, -1, 2]):
            rows = self.ROWS * np.array(scale, "float32")[:, None]
            average = 0.5 * rows[0] + 0.5 * average
            found = update_of(aggregator, rows)
            products = rows[1:] * average
            kept = {
                "Projection": (products >= 0) * rows[1:],
                "UnweightedCosine": (products > 0) * rows[1:],
                "WeightedCosine": (products > 0) * rows[1:],
                "Orthogonal": (average == 0) * rows[1:],
            }[method.__name__]
            expected = rows[0] + kept.sum(axis=0)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_in_a_model(self, method):
        """Where only auxiliaries share a variable, there is no reference."""
        smoothing = 1.0 if method.__name__.endswith("Cosine") else 0.5
        rng = np.random.default_rng(0)
        x = rng.normal(size=(8, 3)).astype("float32")
        y = {n: rng.normal(size=(8, 1)).astype("float32") for n in "abc"}

        def make(aggregator, **arguments):
            keras.utils.set_random_seed(0)
            inputs = keras.Input((3,))
            shared = keras.layers.Dense(4, name="shared")(inputs)
            between = keras.layers.Dense(2, name="between")(shared)
            model = MultiTaskModel(
                inputs,
                {
                    "a": keras.layers.Dense(1, name="a")(shared),
                    "b": keras.layers.Dense(1, name="b")(between),
                    "c": keras.layers.Dense(1, name="c")(between),
                },
            )
            model.compile(
                keras.optimizers.SGD(1.0),
                loss=dict.fromkeys("abc", "mse"),
                aggregator=aggregator,
                **arguments,
            )
            return model

        def step(model, layer):
            before = model.get_layer(layer).get_weights()
            model.train_on_batch(x, y)
            after = model.get_layer(layer).get_weights()
            return np.concatenate(
                [(b - a).ravel() for b, a in zip(before, after)]
            )

        for layer in ("shared", "between"):
            rows = [
                step(
                    make(None, loss_weights={**dict.fromkeys("abc", 0), n: 1}),
                    layer,
                )
                for n in "abc"
            ]
            reference = method("a", smoothing, "parameter")
            reference.build(["a", "b", "c"])
            found = step(make(method("a", smoothing, "parameter")), layer)
            np.testing.assert_allclose(
                found, update_of(reference, rows), rtol=1e-3, atol=1e-5
            )


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e15])
def test_small_entries_of_the_main_gradient_censor_too(scale):
    rule = Projection(0, 1.0, "parameter")
    rows = np.array([[1e-8, -1.0, 0.0], [-1.0, -1.0, 2.0]])
    rows[0] *= scale
    found = update_of(rule, rows)
    expected = rows[0] + [0, -1, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


class TestBatchesOfOneTask:
    @pytest.mark.slow
    def test_are_compared_with_the_remembered_main_gradient(self):
        """Data sets apart: a batch has the labels of one task alone."""
        inputs = keras.Input((2,))
        shared = keras.layers.Dense(1, use_bias=False, name="shared")(inputs)
        model = MultiTaskModel(
            inputs,
            {
                name: keras.layers.Identity(name=name)(shared)
                for name in ("main", "other")
            },
        )
        model.compile(
            keras.optimizers.SGD(1.0),
            loss={"main": "mse", "other": "mse"},
            aggregator=Projection("main", smoothing=0.5),
            missing_label=float("nan"),
        )
        kernel = model.get_layer("shared").kernel
        nan = np.array([[np.nan]], "float32")

        def move(x, **labels):
            kernel.assign([[1.0], [1.0]])
            y = {n: np.array([[v]], "float32") for n, v in labels.items()}
            y = {"main": nan, "other": nan, **y}
            model.train_on_batch(np.array([x], "float32"), y)
            return 1.0 - ops.convert_to_numpy(kernel)[:, 0]

        # v = (2, 0), remembered as (1, 0).
        np.testing.assert_allclose(move([1.0, 0.0], main=0.0), [2.0, 0.0])
        for _ in range(3):
            # u = (-1, 1) loses what opposes it; what is remembered stays.
            moved = move([-1.0, 1.0], other=-0.5)
            np.testing.assert_allclose(moved, [0.0, 1.0], atol=1e-6)
            (remembered,) = model.aggregator.reference
            np.testing.assert_array_equal(
                ops.convert_to_numpy(remembered), [[1.0], [0.0]]
            )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
