import pytest

import keras_mtl
from examples import every_method
from keras_mtl.aggregators import MGDA

MODULES = (keras_mtl.aggregators, keras_mtl.weightings)


class TestNames:
    @pytest.mark.parametrize("module", MODULES)
    def test_are_those_of_the_registry(self, module):
        for name in every_method.names(module):
            try:
                module.get(name)
            except ValueError as error:
                assert "needs arguments" in str(error)

    def test_leaves_out_what_others_build_on(self):
        names = every_method.names(keras_mtl.aggregators)
        assert {"sum", "pcgrad", "mgda", "projection"} <= set(names)
        assert not {"aggregator", "main_task_aggregator"} & set(names)
        assert names == sorted(names)


class TestChoose:
    def test_says_why_a_method_is_left_out(self):
        choice = every_method.choose(keras_mtl.aggregators, ("a", "b"), {})
        assert "weights=..." in choice.left_out["constant"]
        assert "constant" not in choice.makers
        assert isinstance(choice.makers["mgda"](), MGDA)

    def test_arguments_make_a_place(self):
        choice = every_method.choose(
            keras_mtl.aggregators,
            ("a", "b"),
            {"projection": {"main_task": "b"}},
        )
        assert choice.makers["projection"]().main_task == "b"

    def test_refused_by_the_tasks(self):
        choice = every_method.choose(
            keras_mtl.aggregators,
            ("a", "b"),
            {"projection": {"main_task": "c"}},
        )
        assert "'c'" in choice.left_out["projection"]


class TestMake:
    def test_random_methods_have_a_seed(self):
        module = keras_mtl.aggregators
        assert every_method.make(module, "pcgrad", {}).seed == 0
        assert every_method.make(module, "pcgrad", {"seed": 3}).seed == 3

    def test_the_main_task_is_the_first(self):
        module = keras_mtl.aggregators
        for name in ("projection", "orthogonal", "weighted_cosine"):
            assert every_method.make(module, name, {}).main_task == 0
        named = every_method.make(module, "projection", {"main_task": "b"})
        assert named.main_task == "b"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
