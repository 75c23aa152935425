import numpy as np
import pytest

from examples.relationships import train


def matrix(run, name) -> dict[tuple[str, str], float]:
    (shown,) = run.model.get_layer(name).sharing_matrices()
    return {
        (row, column): shown.values[i, j]
        for i, row in enumerate(shown.rows)
        for j, column in enumerate(shown.columns)
    }


class TestMakeData:
    def test_plants_the_relationships_that_the_names_say(self):
        (_, y), _ = train.make_data(20_000, seed=1)
        values = np.stack([y[task].ravel() for task in train.TASKS])
        correlations = np.corrcoef(values)[0]
        # Half of the variance of every task is noise. What two kernels of
        # 150 numbers have in common by chance counts too.
        np.testing.assert_allclose(
            correlations, [1.0, 0.48, -0.48, 0.0], atol=0.15
        )

    def test_test_examples_have_no_noise(self):
        _, (x, y) = train.make_data(10, seed=0)
        kernel, *_ = np.linalg.lstsq(x, y["first"], rcond=None)
        np.testing.assert_allclose(x @ kernel, y["first"], atol=1e-4)


class TestTrain:
    @pytest.mark.slow
    def test_finds_what_was_planted_and_gains_by_it(self):
        # One test, for two processes would train all that twice.
        runs = train.train(num_examples=128, epochs=75, seed=0)
        self.check_the_prior(runs)
        self.check_the_stitches(runs)
        self.check_the_gain(runs)

    def check_the_prior(self, runs):
        learned = matrix(runs["relationship"], "relationship")
        assert learned["first", "alike"] > 0.8
        assert learned["first", "opposed"] < -0.8
        assert abs(learned["first", "unrelated"]) < 0.3

    def check_the_stitches(self, runs):
        learned = matrix(runs["stitch"], "stitch")
        for task in ("first", "alike"):
            assert learned["opposed", task] < -0.1
        assert learned["first", "alike"] > 0.15
        assert abs(learned["first", "unrelated"]) < 0.15
        assert learned["unrelated", "unrelated"] > 0.6

    def check_the_gain(self, runs):
        for task in ("first", "alike", "opposed"):
            alone = runs["independent"].test_loss[task]
            assert runs["relationship"].test_loss[task] < 0.75 * alone


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
