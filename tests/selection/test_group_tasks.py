from itertools import chain
from itertools import combinations

import numpy as np
import pytest

from keras_mtl.selection import group_tasks
from keras_mtl.selection.group_tasks import MAX_TASKS


def score(affinity, task, group, alone):
    others = [affinity[i, task] for i in group if i != task]
    return np.mean(others) if others else alone


def best_by_brute_force(affinity, num_groups, alone):
    """The largest total score of all choices of groups."""
    tasks = range(len(affinity))
    groups = list(
        chain.from_iterable(
            combinations(tasks, size) for size in range(1, len(tasks) + 1)
        )
    )
    totals = [
        sum(
            max(score(affinity, t, g, alone) for g in chosen if t in g)
            for t in tasks
        )
        for count in range(1, num_groups + 1)
        for chosen in combinations(groups, count)
        if set(chain.from_iterable(chosen)) == set(tasks)
    ]
    return max(totals)


class TestOptimum:
    @pytest.mark.parametrize(
        "num_tasks, num_groups",
        [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 2), (4, 3), (5, 2)],
    )
    @pytest.mark.parametrize("alone", [0.0, -1e6])
    @pytest.mark.parametrize("seed", range(4))
    def test_is_that_of_brute_force(self, num_tasks, num_groups, alone, seed):
        random = np.random.default_rng([num_tasks, num_groups, seed])
        affinity = random.normal(size=(num_tasks, num_tasks))
        groups = group_tasks(affinity, num_groups, alone=alone)
        total = sum(sum(group.scores.values()) for group in groups)
        expected = best_by_brute_force(affinity, num_groups, alone)
        np.testing.assert_allclose(total, expected, rtol=1e-12)

    @pytest.mark.parametrize("num_groups", [1, 2, 4, 20])
    def test_is_a_grouping(self, num_groups):
        affinity = np.random.default_rng(0).normal(size=(7, 7))
        groups = group_tasks(affinity, num_groups)
        assert 1 <= len(groups) <= num_groups
        served = [task for group in groups for task in group.served]
        assert sorted(served) == [str(t) for t in range(7)]
        for group in groups:
            assert set(group.served) <= set(group.tasks)
            members = [int(t) for t in group.tasks]
            for task, value in group.scores.items():
                expected = score(affinity, int(task), members, 0.0)
                np.testing.assert_allclose(value, expected)

    def test_more_groups_never_do_worse(self):
        affinity = np.random.default_rng(1).normal(size=(6, 6))
        totals = [
            sum(sum(g.scores.values()) for g in group_tasks(affinity, count))
            for count in range(1, 7)
        ]
        assert totals == sorted(totals)
        assert totals[0] < totals[-1]


class TestGroups:
    def test_planted_groups(self):
        affinity = np.full((5, 5), -0.1)
        for group in ([0, 3], [1, 2, 4]):
            affinity[np.ix_(group, group)] = 0.2
        groups = group_tasks(affinity, 2, list("abcde"))
        assert sorted(g.tasks for g in groups) == [["a", "d"], ["b", "c", "e"]]
        assert [g.served for g in groups] == [g.tasks for g in groups]

    def test_a_task_may_help_where_it_is_not_served(self):
        """Task 0 helps both others, which hurt it and each other."""
        affinity = [[0, 0.5, 0.5], [0.1, 0, -1], [-1, -1, 0]]
        groups = {tuple(g.served): g.tasks for g in group_tasks(affinity, 2)}
        assert groups == {("0", "1"): ["0", "1"], ("2",): ["0", "2"]}

    def test_a_task_that_all_others_hurt_stays_alone(self):
        affinity = [[0, 0.2, -0.5], [0.2, 0, -0.5], [-0.1, -0.1, 0]]
        groups = group_tasks(affinity, 2)
        assert sorted(g.tasks for g in groups) == [["0", "1"], ["2"]]
        # Unless that is ruled out.
        grouped = group_tasks(affinity, 2, alone=-1e6)
        assert all(len(g.tasks) > 1 for g in grouped)

    def test_trains_no_more_tasks_than_it_takes(self):
        groups = group_tasks(np.full((4, 4), 0.3), 4)
        assert len(groups) == 1
        assert groups[0].tasks == ["0", "1", "2", "3"]

    def test_diagonal_is_not_used(self):
        affinity = np.random.default_rng(0).normal(size=(4, 4))
        other = affinity.copy()
        np.fill_diagonal(other, np.nan)
        assert group_tasks(affinity, 2) == group_tasks(other, 2)


class TestBadInput:
    @pytest.mark.parametrize(
        "affinity",
        [
            np.zeros((2, 3)),
            np.zeros((0, 0)),
            np.zeros((MAX_TASKS + 1, MAX_TASKS + 1)),
            1.0,
            [[0, np.nan], [0, 0]],
            {"a": 1},
            "x",
            [["a", "b"], ["c", "d"]],
            [[0, 1], [0]],
            None,
        ],
    )
    def test_affinity(self, affinity):
        with pytest.raises(ValueError, match="`affinity` must.*Received"):
            group_tasks(affinity, 1)

    @pytest.mark.parametrize("num_groups", [0, 1.5, None])
    def test_num_groups(self, num_groups):
        with pytest.raises(ValueError, match="`num_groups`"):
            group_tasks(np.zeros((2, 2)), num_groups)

    @pytest.mark.parametrize("names", ["ab", ["a"], ["a", "a"], [0, 1], 3])
    def test_task_names(self, names):
        with pytest.raises(ValueError, match="`task_names`"):
            group_tasks(np.zeros((2, 2)), 1, names)

    @pytest.mark.parametrize("alone", [-np.inf, True, "0", None])
    def test_alone(self, alone):
        with pytest.raises(ValueError, match="`alone`.*finite"):
            group_tasks(np.zeros((2, 2)), 1, alone=alone)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
