import json

import keras
import numpy as np
import pytest

import keras_mtl
from examples.toy import descend
from examples.toy import methods
from examples.toy.descend import Config
from examples.toy.problem import PROBLEMS
from examples.toy.problem import evaluate

PROBLEM = PROBLEMS["nash_mtl"]
STEPS = 4


def last_points(kind, make, steps=STEPS):
    method = methods.start(kind, make, len(PROBLEM.starts))
    return descend.descend(method, PROBLEM, steps)[:, -1]


class Position(keras.layers.Layer):
    """The point, as the only weight of a model."""

    def __init__(self, start):
        super().__init__()
        self.start = np.array([start], "float32")

    def build(self, _):
        self.point = self.add_weight(shape=(1, 2))
        self.point.assign(self.start)

    def call(self, inputs):
        losses, _ = evaluate(
            keras.ops.convert_to_tensor(self.point), PROBLEM.scales
        )
        losses = losses - descend.BOUND * PROBLEM.scales
        return {
            task: losses[:, t : t + 1] + 0 * inputs
            for t, task in enumerate(methods.TASKS)
        }


def fitted(start, **settings):
    """Where `fit` gets to in as many steps."""
    inputs = keras.Input((1,))
    model = keras_mtl.MultiTaskModel(inputs, Position(start)(inputs))
    model.compile(
        keras.optimizers.Adam(descend.LEARNING_RATE, epsilon=descend.EPSILON),
        loss={t: lambda _, y: y for t in methods.TASKS},
        **settings,
    )
    ones = np.ones((STEPS, 1))
    labels = {task: ones for task in methods.TASKS}
    model.fit(ones, labels, batch_size=1, verbose=0)
    return model.weights[0].numpy()[0]


class TestDescend:
    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["aggregator", "weighting"])
    def test_goes_where_fit_goes(self, kind):
        def make():
            if kind == "aggregator":
                return keras_mtl.aggregators.MGDA()
            return keras_mtl.weightings.Uncertainty(learning_rate=0.1)

        points = last_points(kind, make)
        # From the last start neither gradient rules.
        expected = fitted(PROBLEM.starts[-1], **{kind: make()})
        np.testing.assert_allclose(points[-1], expected, atol=1e-5)
        assert np.abs(points[-1] - PROBLEM.starts[-1]).max() > 1e-3

    @pytest.mark.slow
    def test_one_for_all_starts_and_one_for_each_agree(self):
        class Looks(keras_mtl.aggregators.Aggregator):
            """The same, but it sees the gradients: it serves one start."""

            sees = "gradients"

            def combine(self, jacobian, step):
                gram = jacobian @ keras.ops.transpose(jacobian)
                weights = keras_mtl.aggregators.MGDA().weights(gram)
                return keras.ops.matmul(weights, jacobian)

        one = methods.Aggregation(keras_mtl.aggregators.MGDA, 5)
        each = methods.Aggregation(Looks, 5)
        assert (len(one.aggregators), len(each.aggregators)) == (1, 5)
        paths = [descend.descend(m, PROBLEM, STEPS) for m in (one, each)]
        np.testing.assert_allclose(*paths, atol=1e-5)

    @pytest.mark.slow
    def test_keeps_starts_and_strides(self):
        method = methods.start("aggregator", keras_mtl.aggregators.Sum, 5)
        paths = descend.descend(method, PROBLEM, 1000)
        # Every second step.
        assert paths.shape == (5, 501, 2)
        np.testing.assert_array_equal(paths[:, 0], PROBLEM.starts)
        # Adam moves each coordinate by its rate a step at most, or so.
        assert 0.5 < np.abs(paths[:, -1] - paths[:, 0]).max() < 1.5


class TestRun:
    def test_writes_a_file_and_does_not_run_again(self, tmp_path, monkeypatch):
        config = Config("sum", "aggregator", steps=2)
        record = descend.run(config, tmp_path)
        path = tmp_path / "nash_mtl-aggregator-sum.json"
        assert json.loads(path.read_text()) == record
        assert np.array(record["paths"]).shape == (5, 3, 2)
        monkeypatch.setattr(descend, "descend", None)
        assert descend.run(config, tmp_path) == record

    def test_refuses_the_file_of_another_configuration(self, tmp_path):
        (tmp_path / "cagrad-aggregator-sum.json").write_text(
            json.dumps({"config": {"steps": 7}})
        )
        with pytest.raises(ValueError, match="`output_dir`.*steps=2"):
            descend.run(Config("sum", "aggregator", "cagrad", 2), tmp_path)

    def test_published_number_of_steps(self):
        assert Config("sum", "aggregator").resolved().steps == 35_000


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
