import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mtl
from keras_mtl.selection import TaskSampler

NAN = float("nan")
X = np.arange(12, dtype="float32")[:, None]
# Labels say which task they are of.
DATA = {"main": (X, X + 100), "other": (X[:5] - 50, X[:5] + 200)}


def make_sampler(steps=3, data=DATA, **kwargs):
    kwargs = {"batch_size": 4, "seed": 0, **kwargs}
    return TaskSampler(data, steps, **kwargs)


def read(dataset):
    return list(dataset.as_numpy_iterator())


def task_of(batch):
    """The one task that a batch has labels for."""
    labelled = [t for t, y in batch[1].items() if not np.isnan(y).any()]
    assert all(np.isnan(batch[1][t]).all() for t in DATA if t not in labelled)
    (task,) = labelled
    return task


class TestDataset:
    def test_an_epoch_is_of_one_task(self):
        sampler = make_sampler()
        dataset = sampler.dataset()
        assert dataset.cardinality() == 3
        sampler.begin_period("other")
        batches = read(dataset)
        assert [task_of(batch) for batch in batches] == ["other"] * 3
        for x, y in batches:
            np.testing.assert_array_equal(x + 250, y["other"])
            assert y["main"].shape == (4, 1)

    @pytest.mark.parametrize("ahead", [0, 1, 100])
    def test_fetching_ahead_never_brings_the_wrong_task(self, ahead):
        sampler = make_sampler()
        dataset = sampler.dataset().prefetch(ahead)
        for task in ("other", "main", "main", "other", "main"):
            sampler.begin_period(task)
            assert {task_of(batch) for batch in dataset} == {task}
            sampler.end_period()

    def test_a_task_goes_on_where_it_stopped(self):
        sampler = make_sampler()
        seen = {"main": [], "other": []}
        for task in ("main", "other", "main", "other", "other"):
            sampler.begin_period(task)
            seen[task] += [x[:, 0] for x, _ in read(sampler.dataset())]
            sampler.end_period()
        # Two passes over 12 examples, and seven over 5 with one left.
        for task, length, passes in (("main", 12, 2), ("other", 5, 7)):
            values = np.concatenate(seen[task])
            expected = np.sort(DATA[task][0][:, 0])
            for start in range(0, length * passes, length):
                one = np.sort(values[start : start + length])
                np.testing.assert_array_equal(one, expected)

    def test_a_period_that_did_not_end_begins_again(self):
        sampler = make_sampler()
        first = read(sampler.dataset())
        iterator = iter(sampler.dataset().prefetch(2))
        next(iterator)
        sampler.begin_period("main")
        for left, right in zip(first, read(sampler.dataset()), strict=True):
            np.testing.assert_array_equal(left[0], right[0])

    def test_other_kinds_of_data(self):
        pairs = tf.data.Dataset.from_tensor_slices(DATA["other"]).batch(2)
        sampler = make_sampler(data={**DATA, "other": pairs})
        sampler.begin_period("other")
        xs = [x[:, 0].tolist() for x, _ in read(sampler.dataset())]
        assert xs == [[-50, -49], [-48, -47], [-46]]

    def test_integer_labels(self):
        y = np.arange(12) % 3
        sampler = make_sampler(
            data={"main": DATA["main"], "class": (X, y)},
            missing_label={"main": NAN, "class": -1},
        )
        (_, labels), *_ = read(sampler.dataset())
        assert labels["class"].dtype == y.dtype
        np.testing.assert_array_equal(labels["class"], [-1] * 4)

    def test_seed(self):
        def first(seed):
            return read(make_sampler(seed=seed).dataset())[0][0].tolist()

        assert first(1) == first(1) != first(2)
        keras.utils.set_random_seed(3)
        drawn = first(None)
        keras.utils.set_random_seed(3)
        assert first(None) == drawn


class TestState:
    def test_goes_on_as_if_never_interrupted(self):
        whole = make_sampler()
        for task in ("main", "other", "main"):
            whole.begin_period(task)
            whole.end_period()
        # A seed that was drawn in one process is drawn anew in the next.
        resumed = make_sampler(seed=1)
        resumed.set_state(json.loads(json.dumps(whole.get_state())))
        for sampler in (whole, resumed):
            sampler.begin_period("other")
        for left, right in zip(
            read(whole.dataset()), read(resumed.dataset()), strict=True
        ):
            np.testing.assert_array_equal(left[0], right[0])

    def test_refuses_the_state_of_others(self):
        with pytest.raises(ValueError, match="other tasks.*'a'.*'main'"):
            make_sampler().set_state({"used": {"a": 1}})


class TestFit:
    def model(self):
        inputs = keras.Input((1,))
        shared = keras.layers.Dense(2, name="shared")(inputs)
        outputs = {t: keras.layers.Dense(1, name=t)(shared) for t in DATA}
        model = keras_mtl.MultiTaskModel(inputs, outputs)
        model.compile(
            keras.optimizers.SGD(1e-4),
            loss={t: "mse" for t in DATA},
            missing_label=NAN,
        )
        return model

    @pytest.mark.slow
    def test_trains_the_chosen_task_alone(self):
        model, sampler = self.model(), make_sampler()
        before = {v.path: v.numpy() for v in model.weights}
        sampler.begin_period("other")
        logs = model.fit(sampler.dataset(), verbose=0).history
        moved = {
            v.path: not np.array_equal(v.numpy(), before[v.path])
            for v in model.weights
        }
        assert {p.split("/")[0] for p, m in moved.items() if m} == {
            "shared",
            "other",
        }
        assert logs["main_loss"] == [0]
        assert logs["other_loss"][0] > 1000

    def test_labels_for_validation(self):
        model, sampler = self.model(), make_sampler()
        y = sampler.labels("main", DATA["main"][1])
        logs = model.evaluate(X, y, verbose=0, return_dict=True)
        prediction = model.predict(X, verbose=0)["main"]
        error = np.mean((prediction - DATA["main"][1]) ** 2)
        np.testing.assert_allclose(logs["main_loss"], error, rtol=1e-5)
        assert logs["other_loss"] == 0


class TestBadInput:
    @pytest.mark.parametrize("data", [{}, [DATA["main"]], None])
    def test_data(self, data):
        with pytest.raises(ValueError, match="`data` must be a dict"):
            make_sampler(data=data)

    @pytest.mark.parametrize("name", ["steps", "batch_size"])
    @pytest.mark.parametrize("value", [0, 2.5, "3"])
    def test_sizes(self, name, value):
        with pytest.raises(ValueError, match=f"`{name}`.*from 1"):
            make_sampler(**{name: value})

    def test_inputs_that_differ(self):
        with pytest.raises(ValueError, match="inputs x of all tasks"):
            make_sampler(data={**DATA, "third": (X[:, 0], X)})

    def test_task(self):
        with pytest.raises(ValueError, match=r"\['main', 'other'\].*'third'"):
            make_sampler().begin_period("third")

    @pytest.mark.parametrize("task", ["third", "Main", 0, None, ["main"]])
    def test_task_of_labels(self, task):
        with pytest.raises(ValueError, match="`task`.*'main'.*Received: task"):
            make_sampler().labels(task, X)

    @pytest.mark.parametrize(
        "y", [None, "x", 3.0, {"main": X}, [[1], [2, 3]], ["a", "b"], [None]]
    )
    def test_labels(self, y):
        with pytest.raises(ValueError, match="`y`.*task 'main'.*Received"):
            make_sampler().labels("main", y)

    @pytest.mark.parametrize("tasks", [["main"], ["main", "third"]])
    def test_model_of_other_tasks(self, tasks):
        sampler = make_sampler(data={task: (X, X) for task in tasks})
        model = TestFit().model()
        with pytest.raises(
            ValueError, match=r"outputs.* \['main', 'other'\].*Received"
        ):
            model.fit(sampler.dataset(), verbose=0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
