"""The runs of a comparison."""

import pytest

from keras_mtl.comparison.method_arguments import MethodArguments
from keras_mtl.comparison.work import Work


def test_tests_have_seeds_of_their_own():
    equal, other = {"a": 0.5, "b": 0.5}, {"a": 1.0, "b": 0.0}
    methods = {
        "sum": MethodArguments("sum", dict, equal),
        "pcgrad": MethodArguments("pcgrad", {}, equal),
    }
    work = Work(methods, None, None, 7)
    assert work.tests(2, [other]) == [
        ("sum", 8, None),
        ("sum", 9, None),
        ("sum", 8, other),
        ("sum", 9, other),
        ("pcgrad", 8, None),
        ("pcgrad", 9, None),
    ]


def test_others_are_waited_for():
    """Two methods whose last trials others are at; they end when waited for."""

    class Trials:
        at_work = {"sum": [3], "pcgrad": [4]}
        waits = []

        def ask(self, method, count):
            assert len(self.waits) < 3
            return None

        def running(self, method):
            return self.at_work[method]

        def wait_for(self, method, number):
            self.waits.append((method, number))
            self.at_work[method] = []

    class Records:
        num_trials = 5

    trials = Trials()
    Work({"sum": None, "pcgrad": None}, Records, trials, 0).tune(None, None)
    assert trials.waits == [("sum", 3), ("pcgrad", 4)]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
