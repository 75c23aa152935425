"""Tests of what aggregators and weightings share."""

import keras
import pytest

from keras_mtl.methods.method import Method
from keras_mtl.methods.method import snake_case


class CountingMethod(Method):
    """Holds one variable for each task, a seed and a fixed variable."""

    def __init__(self, start=0.0, name=None):
        super().__init__(name=name)
        self.start = start
        self.fixed = keras.Variable(start, name="fixed")
        self.per_task = []
        self.seed_generator = keras.random.SeedGenerator(3)
        self.again = self.fixed
        self.states_made = 0

    def create_state(self, task_names):
        self.states_made += 1
        self.per_task = [
            keras.Variable(0.0, name=task_name) for task_name in task_names
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

    def test_variables_are_found_in_order_and_once(self):
        method = CountingMethod()
        method.build(["a", "b"])
        expected = [
            method.fixed,
            *method.per_task,
            method.seed_generator.state,
        ]
        assert [id(v) for v in method.variables] == [id(v) for v in expected]

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
