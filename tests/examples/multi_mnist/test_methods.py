import re

import keras
import numpy as np
import pytest

import keras_mtl
from examples import every_method
from examples.multi_mnist import methods
from keras_mtl import aggregators
from keras_mtl import weightings


def build(name, size="small", source="mnist"):
    return methods.build_model(
        methods.parse(name), size=size, source=source, learning_rate=1e-3
    )


class TestParse:
    @pytest.mark.parametrize(
        ("name", "canonical"),
        [
            ("sum", "sum"),
            ("pcgrad+self_auxiliary", "pcgrad+self_auxiliary"),
            ("self_auxiliary+pcgrad", "pcgrad+self_auxiliary"),
            ("self_auxiliary+sum", "self_auxiliary"),
            ("mgda_ub+uncertainty", "uncertainty+mgda_ub"),
            ("single_left+self_auxiliary", "single_left+self_auxiliary"),
            ("mgda+uncertainty", "uncertainty+mgda"),
        ],
    )
    def test_one_name_for_one_thing(self, name, canonical):
        assert methods.parse(name).name == canonical

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "adam",
            "sum+sum",
            "pcgrad+mgda_ub",
            "single_left+pcgrad",
            "single_left+uncertainty",
            "single",
            "all_aggregators",
            "self_auxiliary+pta_f2",
        ],
    )
    def test_names_what_is_wrong(self, name):
        received = re.escape(f"method={name!r}")
        with pytest.raises(ValueError, match=f"`method`.*{received}"):
            methods.parse(name)

    def test_single_has_one_task(self):
        assert methods.parse("single_right").tasks == ("right",)
        assert methods.parse("pcgrad").tasks == ("left", "right")


class TestExpand:
    def test_groups_and_duplicates(self):
        assert methods.expand(["single", "sum", "single_left"]) == [
            "single_left",
            "single_right",
            "sum",
        ]
        assert methods.expand(["all"]) == list(methods.PUBLISHED)

    def test_all_that_keras_mtl_knows(self):
        found = methods.expand(["all_aggregators", "all_weightings"])
        assert found[0] == "sum"
        known = {
            *every_method.names(keras_mtl.aggregators),
            *every_method.names(keras_mtl.weightings),
        }
        refused = methods.left_out(["all_aggregators", "all_weightings"])
        assert known == {*found, *refused}
        assert not set(found) & set(refused)

    def test_says_why_a_method_has_no_place(self, monkeypatch):
        monkeypatch.setattr(
            methods, "left_out", lambda names: {"projection": "A reason."}
        )
        with pytest.raises(ValueError, match="'projection'.*A reason."):
            methods.expand(["sum", "projection+self_auxiliary"])


class TestBuildModel:
    def test_sum_is_stock(self):
        model = build("sum")
        assert model.aggregator is None
        assert model.weighting is None

    def test_aggregators(self):
        assert isinstance(build("pcgrad").aggregator, aggregators.PCGrad)
        assert isinstance(build("mgda_ub").aggregator, aggregators.MGDA)
        projection = build("projection").aggregator
        assert isinstance(projection, aggregators.Projection)
        assert projection.main_task == 0

    def test_only_mgda_ub_works_at_the_representation(self):
        for name in ("pcgrad", "mgda", "mgda_ub", "projection"):
            config = build(name).get_compile_config()
            expected = "representation" if name == "mgda_ub" else None
            assert config["representation"] == expected
        assert "scale_heads" not in config
        config = build("mgda_ub", source="mnist").get_compile_config()
        assert config["representation_reduction"] == "mean"
        assert config["scale_heads"] is True

    def test_uncertainty_starts_as_published(self):
        weighting = build("uncertainty+pcgrad").weighting
        assert isinstance(weighting, weightings.Uncertainty)
        # log(sigma) = 1 there.
        assert weighting.initial_log_variance == 2.0

    def test_frozen_and_large_towers(self):
        for name, copies, trainable in (
            ("pta_f3", 3, False),
            ("big_towers", 1, True),
        ):
            model = build(name)
            for towers in model.auxiliaries.heads.values():
                assert len(towers.towers) == copies
                assert towers.trainable == trainable

    def test_settings_of_heads(self):
        model = methods.build_model(
            methods.parse("self_auxiliary"),
            size="large",
            source="mnist",
            learning_rate=0.1,
            weight=0.5,
            temperature=3.0,
        )
        assert model.auxiliaries.weight == 0.5
        for head in model.auxiliaries.heads.values():
            assert head.temperature == 3.0

    def test_methods_from_the_registry(self):
        built = build("unweighted_cosine")
        assert isinstance(built.aggregator, aggregators.UnweightedCosine)
        assert built.aggregator.main_task == 0
        assert isinstance(build("mean").aggregator, aggregators.Mean)

    @pytest.mark.parametrize(
        ("source", "weight", "temperature", "bottleneck"),
        [("mnist", 2.0, 20.0, 8), ("fashion_mnist", 3.0, 30.0, 9)],
    )
    def test_self_auxiliaries_as_published(
        self, source, weight, temperature, bottleneck
    ):
        for size, width in (("small", bottleneck), ("large", None)):
            model = build("self_auxiliary", size, source)
            assert model.auxiliaries.weight == weight
            for head in model.auxiliaries.heads.values():
                assert head.temperature == temperature
                assert head.bottleneck == width

    def test_every_method_starts_from_the_same_weights(self):
        starts = {}
        for name in ("sum", "pcgrad", "uncertainty", "self_auxiliary"):
            keras.utils.set_random_seed(1)
            starts[name] = build(name)
        reference = starts.pop("sum")
        for model in starts.values():
            for layer, expected in zip(model.layers, reference.layers):
                assert type(layer) is type(expected)
                for weight, other in zip(
                    layer.get_weights(), expected.get_weights()
                ):
                    np.testing.assert_array_equal(weight, other)

    @pytest.mark.skipif(
        "svdweights" not in methods.WEIGHTINGS, reason="no such weighting"
    )
    def test_weights_from_data(self):
        images = np.random.default_rng(0).integers(0, 256, (60, 36, 36, 1))
        labels = {task: np.arange(60) % 10 for task in ("left", "right")}
        model = methods.build_model(
            methods.parse("svdweights"),
            size="small",
            source="mnist",
            learning_rate=1e-3,
            examples=(images, labels),
        )
        # The same labels, the same weight.
        assert model.weighting.task_weights == pytest.approx(
            {"left": 1.0, "right": 1.0}
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
