import keras
import numpy as np
import pytest

from examples.quickstart import train


@pytest.fixture(scope="module")
def runs():
    return train.train(num_examples=400, epochs=2, verbose=0)


class TestTrain:
    @pytest.mark.slow
    def test_runs_every_method(self, runs):
        assert list(runs) == ["sum", "PCGrad", "self-auxiliaries"]
        for run in runs.values():
            assert list(run.test_loss) == ["y1", "y2"]
            assert all(0.5 < loss < 1.5 for loss in run.test_loss.values())
            assert 0 <= run.conflict <= 1
            assert run.seconds > 0
            assert len(run.history["val_loss"]) == 2

    @pytest.mark.slow
    def test_only_self_auxiliaries_have_auxiliaries(self, runs):
        for name, run in runs.items():
            has = "y1_aux_loss" in run.history
            assert has == (name == "self-auxiliaries")

    @pytest.mark.slow
    def test_reports_the_last_epoch(self, runs):
        run = runs["sum"]
        assert run.test_loss["y2"] == run.history["val_y2_loss"][-1]
        assert run.test_loss["y2"] != run.history["val_y2_loss"][0]

    def test_every_method_starts_from_the_same_weights(self):
        starts = []
        for build in train.METHODS.values():
            keras.utils.set_random_seed(3)
            starts.append(build().get_weights())
        # Auxiliary heads come after the weights of the network.
        for start in starts[1:]:
            for weight, first in zip(start[:10], starts[0][:10], strict=True):
                np.testing.assert_array_equal(weight, first)

    @pytest.mark.slow
    def test_seed_repeats_a_run(self, runs, monkeypatch):
        monkeypatch.setattr(train, "METHODS", {"sum": train.plain_sum})
        again = train.train(num_examples=400, epochs=2, verbose=0)
        np.testing.assert_allclose(
            again["sum"].history["val_loss"],
            runs["sum"].history["val_loss"],
            rtol=1e-5,
        )


class TestMakeData:
    def test_predicting_the_mean_leaves_a_loss_of_one(self):
        (x, y), (x_test, y_test) = train.make_data(5000, seed=1)
        assert (x.shape, x_test.shape) == ((5000, 10), (1000, 10))
        for task in train.TASKS:
            np.testing.assert_allclose(y[task].var(), 1, rtol=1e-3)
            np.testing.assert_allclose(y_test[task].var(), 1, rtol=0.15)

    def test_test_examples_are_others(self):
        (x, _), (x_test, _) = train.make_data(100, seed=0)
        assert not set(map(tuple, x)) & set(map(tuple, x_test))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
