"""Which runs there are."""

import collections
import dataclasses

import pytest

from examples.small_towers.images import plan
from examples.small_towers.images.train import Config

BASE = Config("sum", "mnist", "large", 0.05)


def find(config):
    """As if the best trial had the second rate and the first heads."""
    rates = plan.trials(config.method, config)[1].learning_rate
    score = 0.9 if config.learning_rate == rates else 0.8
    score -= 0.05 * (config.temperature or 0) / 20
    return {"result": {"validation": {"left": score, "right": score}}}


def test_every_method_has_as_many_trials():
    configs = list(plan.stage("tune", BASE, find))
    counts = collections.Counter(config.method for config in configs)
    assert set(counts) == set(plan.METHODS)
    assert len(set(counts.values())) == 1
    assert len({config.name for config in configs}) == len(configs)


def test_validation_chooses():
    config = plan.chosen("self_auxiliary", BASE, find)
    expected = plan.trials("self_auxiliary", BASE)[1]
    assert config == expected and config.weight == 1.0
    assert plan.chosen("sum", BASE, lambda config: None) is None


def test_later_stages_have_the_chosen_settings():
    best = {m: plan.chosen(m, BASE, find) for m in plan.METHODS}
    for name in ("seeds", "sizes", "long"):
        for config in plan.stage(name, BASE, find):
            expected = dataclasses.replace(
                best[config.method],
                seed=config.seed,
                size=config.size,
                epochs=config.epochs,
            )
            assert config == expected
    seeds = list(plan.stage("seeds", BASE, find))
    assert len(seeds) == 2 * len(plan.METHODS)
    long = list(plan.stage("long", BASE, find))
    assert {c.epochs for c in long} == {4 * BASE.epochs}
    assert len(long) == len(plan.COMPARED) * len(plan.SEEDS)


def test_ablations():
    best = {m: plan.chosen(m, BASE, find) for m in plan.METHODS}
    heads = best["self_auxiliary"]
    for config in plan.stage("single", BASE, find):
        name = config.method.removesuffix("+self_auxiliary")
        assert config.learning_rate == best[name].learning_rate
        assert (config.weight, config.temperature) == (1.0, 1.0)
    for config in plan.stage("big_towers", BASE, find):
        assert config.learning_rate == heads.learning_rate
        assert config.weight is None
    configs = list(plan.stage("bottleneck", BASE, find))
    assert [config.bottleneck for config in configs] == [2, 4, 8, 16, 0]
    assert {config.size for config in configs} == {"small"}
    assert len({config.name for config in configs}) == 5


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
