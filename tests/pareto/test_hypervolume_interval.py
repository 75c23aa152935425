"""Bootstrap intervals beside all draws of seeds, and beside SciPy."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from keras_mtl.pareto import Points
from keras_mtl.pareto import hypervolume
from keras_mtl.pareto import hypervolume_interval

RNG = np.random.default_rng(0)
FRONTS = dict(enumerate(RNG.random((4, 6, 2))))
REFERENCE = [1.5, 1.25]


def all_draws(statistic):
    """Of four seeds there are 4^4 draws."""
    draws = [list(draw) for draw in product(range(4), repeat=4)]
    return np.array([statistic(draw) for draw in draws])


def volumes():
    return np.array([hypervolume(p, REFERENCE) for p in FRONTS.values()])


def test_the_mean_of_hypervolumes():
    found = hypervolume_interval(FRONTS, REFERENCE, num_resamples=20_000)
    assert found.estimate == pytest.approx(volumes().mean())
    draws = all_draws(lambda draw: volumes()[draw].mean())
    expected = np.quantile(draws, [0.025, 0.975])
    np.testing.assert_allclose(found[1:3], expected, atol=0.01 * np.ptp(draws))


def test_equals_scipy():
    found = hypervolume_interval(FRONTS, REFERENCE, level=0.8, seed=3)
    expected = stats.bootstrap(
        (volumes(),),
        np.mean,
        method="percentile",
        confidence_level=0.8,
        n_resamples=2000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    np.testing.assert_allclose(found[1:3], expected)
    again = hypervolume_interval(FRONTS, REFERENCE, level=0.8, seed=3)
    assert found == again and found.level == 0.8


def test_the_hypervolume_of_mean_points():
    points = np.stack(list(FRONTS.values()))

    def of_means(draw):
        return hypervolume(points[draw].mean(axis=0), REFERENCE)

    kwargs = {"average": "points", "num_resamples": 20_000}
    found = hypervolume_interval(FRONTS, REFERENCE, **kwargs)
    assert found.estimate == pytest.approx(of_means([0, 1, 2, 3]))
    draws = all_draws(of_means)
    expected = np.quantile(draws, [0.025, 0.975])
    np.testing.assert_allclose(found[1:3], expected, atol=0.01 * np.ptp(draws))
    basic = hypervolume_interval(FRONTS, REFERENCE, method="basic", **kwargs)
    mirrored = [2 * found.estimate - end for end in (found.high, found.low)]
    np.testing.assert_allclose(basic[1:3], mirrored)


def with_rows(order, settings="abc"):
    """One seed's points, in some order of the settings."""
    values = {"a": [1.0, 3.0], "b": [2.0, 2.0], "c": [3.0, 1.0]}
    return Points(
        np.array([values[settings[place]] for place in order]),
        ["left", "right"],
        False,
        [{"config": {"weight": settings[place]}} for place in order],
    )


def test_settings_are_matched_by_their_rows():
    """Averaged in order of appearance, all three would be close to (2, 2)."""
    fronts = [with_rows([0, 1, 2]), with_rows([2, 0, 1]), with_rows([1, 2, 0])]
    found = hypervolume_interval(
        fronts, [4, 4], average="points", match="config.weight"
    )
    assert found == (6, 6, 6, 0.95)


def test_settings_that_do_not_match():
    fronts = [with_rows([0, 1, 2]), with_rows([2, 0])]
    with pytest.raises(ValueError, match="`match` must name the columns"):
        hypervolume_interval(fronts, [4, 4], average="points")
    for second in ([2, 0], [0, 1, 1]):
        fronts = [with_rows([0, 1, 2]), with_rows(second)]
        with pytest.raises(ValueError, match="same settings.*'a', 'b', 'c'"):
            hypervolume_interval(
                fronts, [4, 4], average="points", match="config.weight"
            )
    arrays = [[[1, 2]], [[1, 2], [2, 1]]]
    with pytest.raises(ValueError, match=r"same settings.*\[1, 2\] points"):
        hypervolume_interval(arrays, [4, 4], average="points")
    # Without an average of points they need not match.
    assert hypervolume_interval(arrays, [4, 4]).estimate == (6 + 8) / 2


def test_a_reference_inside_a_front():
    fronts = {0: [[0.5, 0.5]], 1: [[0.9, 0.8]]}
    for average in ("points", "hypervolumes"):
        with pytest.raises(ValueError, match="inside.*larger.*reference 0.75"):
            hypervolume_interval(fronts, [0.75, 0.4], True, average)
    found = hypervolume_interval(fronts, [0.75, 0.4], True, ignore_beyond=True)
    assert found.estimate == pytest.approx(0.15 * 0.4 / 2)
    assert found.low == 0


@pytest.mark.parametrize(
    "fronts, kwargs, message",
    [
        ([[[1, 2]]], {}, "at least two seeds.*list of 1"),
        ({0: [[1, 2]]}, {}, "at least two seeds.*dict of 1"),
        (np.ones((2, 2)), {}, "at least two seeds"),
        (
            {"a": [1, 2], "b": [2, 1]},
            {"maximize": False},
            "several points for each seed",
        ),
        ([[[1, 2]], [[1, 2, 3]]], {}, r"must have the tasks of `fronts\[0\]`"),
        (FRONTS, {"average": "mean"}, "`average`.*'mean'"),
        (FRONTS, {"method": "BCa"}, "`method`.*'BCa'"),
        (FRONTS, {"level": 95}, "`level`.*95"),
        (FRONTS, {"num_resamples": 1}, "`num_resamples`.*1"),
        (FRONTS, {"num_resamples": 0}, "`num_resamples`.*0"),
        (FRONTS, {"seed": None}, "`seed`.*None"),
        (FRONTS, {"ignore_beyond": 1}, "`ignore_beyond`.*1"),
    ],
)
def test_bad_input(fronts, kwargs, message):
    with pytest.raises(ValueError, match=message):
        hypervolume_interval(fronts, REFERENCE, **kwargs)


def test_rows_of_one_seed_alone():
    rows = Points(np.ones((1, 2)), ["a", "b"], rows=[{"weight": 1}])
    bare = Points(np.ones((1, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="`match` must name.*'weight'"):
        hypervolume_interval(
            [bare, rows], [4, 4], maximize=False, average="points"
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
