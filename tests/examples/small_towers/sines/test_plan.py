import dataclasses

import pytest

from examples.small_towers.sines import plan


def finder(best, depth=3):
    """All trials are finished, and that with one rate and weight is best."""

    def find(config):
        error = 1.0 if (config.gamma, config.learning_rate) == best else 2.0
        row = {"validation": {"y1": error, "y2": error}}
        return {"result": {"best": row}}

    return find


class TestTrials:
    def test_are_as_many_with_self_auxiliaries(self):
        for data in plan.TUNED_DEPTHS:
            plain, heads = (plan.trials(data, 3, h) for h in (False, True))
            assert len(plain) == len(heads) == 6
            assert all(config.gamma is None for config in plain)
            assert all(config.gamma for config in heads)

    def test_of_a_depth_that_is_not_tuned_are_those_of_the_nearest(self):
        assert {c.depth for c in plan.trials("easier", 8, False)} == {9}
        assert {c.depth for c in plan.trials("published", 9, True)} == {3}


class TestStage:
    def test_tune_has_each_trial_once(self):
        configs = list(
            plan.stage("tune", "easier", range(3), plan.DEPTHS, finder(None))
        )
        assert len(configs) == len(set(configs)) == 5 * 12

    def test_fronts_have_the_settings_that_validation_chose(self):
        find = finder((0.3, 4e-3))
        configs = list(plan.stage("depth", "easier", range(2), (0, 5), find))
        assert len(configs) == 2 * 2 * 2 * len(plan.ALPHAS)
        heads = [config for config in configs if config.gamma is not None]
        assert {(c.gamma, c.learning_rate) for c in heads} == {(0.3, 4e-3)}
        assert {config.depth for config in configs} == {0, 5}
        assert {config.alpha for config in configs} == set(plan.ALPHAS)

    def test_same_rate_is_that_of_self_auxiliaries(self):
        find = finder((0.3, 2e-3))  # of the others the first is best
        depth = [*plan.stage("depth", "easier", range(1), (3,), find)]
        same = [*plan.stage("same_rate", "easier", range(1), (3,), find)]
        assert {c.learning_rate for c in depth if not c.gamma} == {5e-4}
        assert {(c.gamma, c.learning_rate) for c in same} == {(None, 2e-3)}

    def test_widths_are_of_one_depth(self):
        find = finder((None, 4e-3))
        configs = list(plan.stage("width", "easier", range(1), (0,), find))
        assert {(c.depth, c.width) for c in configs} == {
            (1, width) for width in plan.WIDTHS
        }

    def test_single_tasks_weigh_nothing_else(self):
        find = finder((None, 4e-3))
        configs = list(plan.stage("single", "easier", range(3), (1,), find))
        assert [c.alpha for c in configs] == [1.0, 0.0] * len(plan.RATES)
        chosen = plan.chosen("easier", 1, False, find)
        assert {dataclasses.replace(c, alpha=0.5) for c in configs} == {
            dataclasses.replace(chosen, learning_rate=rate)
            for rate in plan.RATES
        }

    def test_needs_the_trials(self):
        with pytest.raises(LookupError, match="tune.*easier-depth0"):
            list(plan.stage("depth", "easier", range(1), (0,), lambda _: None))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
