"""Tests of what aggregators and weightings share."""

import keras
import numpy as np
import pytest

from keras_mtl.methods.method import Method
from keras_mtl.methods.method import snake_case

pytestmark = pytest.mark.backend


class CountingMethod(Method):
    """Holds one variable for each task, a seed and a fixed variable."""

    def __init__(self, start=0.0, name=None):
        super().__init__(name=name)
        self.start = start
        self.fixed = self.add_state("fixed", initializer=start)
        self.per_task = []
        self.seed_generator = self.add_seed("seed_generator", 3)
        self.again = self.fixed
        self.states_made = 0

    def create_state(self, task_names):
        self.states_made += 1
        self.per_task = [
            self.add_state(f"per_task.{name}") for name in task_names
        ]

    def get_config(self):
        return {"start": self.start, **super().get_config()}


class TestSnakeCase:
    @pytest.mark.parametrize(
        "class_name, expected",
        [
            ("Sum", "sum"),
            ("PCGrad", "pcgrad"),
            ("MGDA", "mgda"),
            ("UnweightedCosine", "unweighted_cosine"),
            ("Stage2Norm", "stage2_norm"),
        ],
    )
    def test_splits_before_capitals_but_not_in_runs(self, class_name, expected):
        assert snake_case(class_name) == expected


class TestMethod:
    def test_name(self):
        assert Method().name == "method"
        assert Method(name="mine").name == "mine"

    def test_rejects_a_name_that_is_no_string(self):
        with pytest.raises(ValueError, match=r"`name` must be .*name=3"):
            Method(name=3)

    def test_build_makes_the_state_once(self):
        method = CountingMethod()
        assert not method.built
        assert method.task_names is None
        method.build(["a", "b"])
        method.build(("a", "b"))
        assert method.built
        assert method.task_names == ("a", "b")
        assert method.states_made == 1

    def test_build_for_other_tasks_is_an_error(self):
        method = CountingMethod()
        method.build(["a", "b"])
        with pytest.raises(ValueError, match=r"\['a', 'b'\].*new instance"):
            method.build(["b", "a"])

    def test_failed_build_leaves_the_method_unbuilt(self):
        class Picky(Method):
            def create_state(self, task_names):
                if len(task_names) > 2:
                    raise ValueError("too many")

        method = Picky()
        with pytest.raises(ValueError, match="too many"):
            method.build(["a", "b", "c"])
        assert not method.built
        method.build(["a", "b"])
        assert method.built

    def test_variables_are_in_the_order_in_which_they_were_made(self):
        method = CountingMethod()
        method.build(["a", "b"])
        expected = [
            method.fixed,
            method.seed_generator.state,
            *method.per_task,
        ]
        assert [id(v) for v in method.variables] == [id(v) for v in expected]

    def test_two_things_of_one_name_are_refused(self):
        method = CountingMethod()
        with pytest.raises(ValueError, match="two things with the name 'fixed"):
            method.add_state("fixed")
        with pytest.raises(ValueError, match="two things with the name"):
            method.add_seed("fixed", 0)

    @pytest.mark.parametrize("name", ["", "a/b", None])
    def test_names_that_files_cannot_have(self, name):
        with pytest.raises(ValueError, match="without '/'.*Received"):
            Method().add_state(name)

    @pytest.mark.parametrize(
        "initializer, dtype, expected",
        [
            ("ones", "float32", [1, 1]),
            (0.5, "float32", [0.5, 0.5]),
            ([1.0, 2.0], "float32", [1, 2]),
            (keras.initializers.Constant(3.0), "float32", [3, 3]),
            ("zeros", "int32", [0, 0]),
            (True, "bool", [True, True]),
        ],
    )
    def test_state_starts_where_it_is_told_to(
        self, initializer, dtype, expected
    ):
        state = Method().add_state("x", (2,), initializer, dtype)
        assert keras.backend.standardize_dtype(state.dtype) == dtype
        assert not state.trainable
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(state), expected
        )

    def test_parameters_are_trained(self):
        method = Method()
        parameter = method.add_parameter("scale", (2,), 1.0)
        assert parameter.trainable
        assert list(method.named_variables()) == ["scale"]
        assert method.variables[0] is parameter

    @pytest.mark.parametrize(
        "make, maker",
        [
            (lambda: keras.Variable(0.0), "add_state"),
            (lambda: [keras.Variable(0.0)], "add_state"),
            (lambda: {"a": keras.Variable(0.0)}, "add_parameter"),
            (lambda: keras.random.SeedGenerator(0), "add_seed"),
            (lambda: CountingMethod(), "add_method"),
        ],
    )
    def test_state_without_a_name_is_refused_and_told_how(self, make, maker):
        class Careless(Method):
            def create_state(self, task_names):
                self.held = make()

        method = Careless()
        with pytest.raises(ValueError, match=f"`Careless.held`.*{maker}"):
            method.build(["a", "b"])
        assert not method.built

    def test_state_of_a_method_within(self):
        outer, inner = Method(), CountingMethod()
        outer.held = outer.add_method("inner", inner)
        outer.build(["a"])
        assert list(outer.named_variables()) == [
            "inner.fixed",
            "inner.seed_generator",
        ]
        assert outer.methods == [inner]

    def test_method_without_state_has_no_variables(self):
        assert Method().variables == []

    def test_config_round_trip(self):
        method = CountingMethod(start=2.0, name="mine")
        config = method.get_config()
        assert config == {"start": 2.0, "name": "mine"}
        assert CountingMethod.from_config(config).get_config() == config

    def test_repr_shows_the_configuration(self):
        text = repr(CountingMethod(start=2.0))
        assert text == "CountingMethod(start=2.0, name='counting_method')"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
