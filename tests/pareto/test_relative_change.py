"""Relative changes: arithmetic, and the two means of a published table."""

import numpy as np
import pytest

from keras_mtl.pareto import Points
from keras_mtl.pareto import delta_m
from keras_mtl.pareto import relative_change

MIXED = {"digit": True, "angle": False}
BASELINES = {"digit": 0.8, "angle": 0.4}

# "Can small heads help?", the industrial platform: changes of AUC by task in
# percent, of PTA-F and of self-auxiliaries, and the printed average.
AUC_ROWS = {
    "PTA-F": (0.22, 0.33, 1.13, 0.12, 0.27, 0.12),
    "self-auxiliaries": (0.55, 0.33, 1.27, 0.12, 0.14, 0.12),
}
PRINTED_AUC = {"PTA-F": 0.351, "self-auxiliaries": 0.416}
MEAN_OF_AUC_ROWS = {"PTA-F": 0.365, "self-auxiliaries": 0.422}
# The baselines are not published. These are chosen so that the printed averages
# are the changes of the mean AUC (two equations for six unknowns): they show
# that plausible baselines can explain the table, not which ones did.
AUCS = (0.88696875, 0.71303125, 0.71303125, 0.71303125, 0.71303125, 0.87367546)

# RMSE of two tasks, chosen likewise: one about three times the other, with
# changes that print as the rows do: -0.00 and -0.09, -0.08 and -0.18.
RMSES = (0.24, 0.76)
RMSE_ROWS = {
    "PTA-F": (-0.002, -0.094),
    "self-auxiliaries": (-0.078, -0.177),
}
PRINTED_RMSE = {"PTA-F": -0.072, "self-auxiliaries": -0.153}
MEAN_OF_RMSE_ROWS = {"PTA-F": -0.048, "self-auxiliaries": -0.1275}


def percent(changes, baselines):
    names = [f"task_{place}" for place in range(len(baselines))]
    metrics = [b * (1 + c / 100) for b, c in zip(baselines, changes)]
    found = relative_change(
        dict(zip(names, metrics)), dict(zip(names, baselines))
    )
    np.testing.assert_allclose(
        [100 * found.by_task[name] for name in names], changes, atol=1e-9
    )
    return 100 * found.mean, 100 * found.of_mean


@pytest.mark.parametrize("method", AUC_ROWS)
def test_both_conventions_of_the_published_auc(method):
    mean, of_mean = percent(AUC_ROWS[method], AUCS)
    assert round(mean, 3) == MEAN_OF_AUC_ROWS[method]
    assert round(of_mean, 3) == PRINTED_AUC[method]


@pytest.mark.parametrize("method", RMSE_ROWS)
def test_both_conventions_of_the_published_rmse(method):
    mean, of_mean = percent(RMSE_ROWS[method], RMSES)
    assert mean == pytest.approx(MEAN_OF_RMSE_ROWS[method], abs=1e-9)
    assert round(of_mean, 3) == PRINTED_RMSE[method]


def test_relative_change_keeps_the_sign():
    found = relative_change({"a": 1.5, "b": 4.0}, {"a": 1.0, "b": 4.0})
    assert found.by_task == {"a": 0.5, "b": 0.0}
    assert (found.mean, found.of_mean) == (0.25, 0.1)
    fallen = relative_change({"rmse": 0.5}, {"rmse": 1.0})
    assert (fallen.mean, fallen.of_mean) == (-0.5, -0.5)


def test_equal_baselines_give_one_mean():
    found = relative_change({"a": 1.5, "b": 0.75}, {"a": 1.0, "b": 1.0})
    assert found.mean == found.of_mean == 0.125


@pytest.mark.parametrize(
    "metrics, baselines, message",
    [
        ({"auc": 1, "rmse": 2}, {"auc": 1, "rmse": 2}, "mixes directions"),
        ({"a": 1, "b": 2}, {"a": 1, "b": -1}, "The mean of `baselines`"),
        (
            {"a": 1, "b": 1, "c": 1},
            {"a": 0.1, "b": 0.2, "c": -0.3},
            "The mean of `baselines`",
        ),
        ({"a": 1}, {"a": 0}, "must not be zero.*'a'"),
        ({"a": [1, 2]}, {"a": 1}, "one number for each task"),
        ([1, 2], {"a": 1}, "`metrics` must be a dict"),
        ({"a": 1, "b": 2}, {"a": 1}, "without .'b'"),
        ({"a": np.nan}, {"a": 1}, "`metrics` must be finite.*'a'"),
    ],
)
def test_bad_changes(metrics, baselines, message):
    with pytest.raises(ValueError, match=message):
        relative_change(metrics, baselines)


class TestDeltaM:
    def test_by_hand(self):
        """A tenth better, and a quarter better."""
        found = delta_m({"digit": 0.88, "angle": 0.3}, BASELINES, MIXED)
        assert isinstance(found, float)
        assert found == pytest.approx((0.1 + 0.25) / 2)

    def test_worse_is_negative(self):
        found = delta_m({"digit": 0.72, "angle": 0.5}, BASELINES, MIXED)
        assert found == pytest.approx(-(0.1 + 0.25) / 2)

    def test_of_several_points(self):
        points = {"angle": [0.3, 0.4], "digit": [0.88, 0.4]}
        found = delta_m(points, BASELINES, MIXED)
        np.testing.assert_allclose(found, [0.175, -0.25])
        records = [{"digit": 0.88, "angle": 0.3}, {"digit": 0.4, "angle": 0.4}]
        np.testing.assert_allclose(delta_m(records, BASELINES, MIXED), found)

    def test_takes_directions_from_points(self):
        values = np.array([[0.88, 0.3]])
        points = Points(values, ["digit", "angle"], np.array([True, False]))
        np.testing.assert_allclose(delta_m(points, BASELINES), [0.175])

    def test_a_negative_baseline(self):
        """A log-likelihood of -90 is a tenth better than -100."""
        found = delta_m({"a": -90.0}, {"a": -100.0}, maximize=True)
        assert found == pytest.approx(0.1)

    def test_published_constants(self):
        """NYUv2, as Nash-MTL has it: nine metrics, five of them errors."""
        names = "miou pixel abs rel mean median w11 w22 w30".split()
        single = [38.3, 63.76, 0.6754, 0.278, 25.01, 19.21, 30.14, 57.2, 69.15]
        maximize = [n in ("miou", "pixel", "w11", "w22", "w30") for n in names]
        # MGDA's row of the same paper, whose Δm there is 1.38: worse.
        mgda = [30.47, 59.9, 0.607, 0.2555, 24.88, 19.45, 29.18, 56.88, 69.36]
        found = delta_m(
            dict(zip(names, mgda)),
            dict(zip(names, single)),
            dict(zip(names, maximize)),
        )
        assert 100 * found == pytest.approx(-1.38, abs=0.01)

    @pytest.mark.parametrize(
        "metrics, baselines, message",
        [
            ({"a": 1, "b": 2}, {"a": 1}, "`baselines`.*without .'b'"),
            ({"a": 1}, {"a": 1, "b": 2}, "`baselines` has entries .'b'"),
            ({"a": 1, "b": 2}, {"a": 1, "b": 0.0}, "not be zero.*0 for .'b'"),
            ({"a": 1}, {"a": np.inf}, "`baselines` must be finite.*'a'"),
            ({"a": 1}, [1], "`baselines` must be a dict from the tasks"),
            ({"a": 1}, 1.0, "`baselines` must be a dict from the tasks"),
            ([[1, 2]], {"a": 1, "b": 2}, "`metrics` must have names"),
            ({}, {}, "`metrics` must hold"),
            ({"a": np.nan}, {"a": 1}, "`metrics` must be finite.*'a'"),
            ({"auc": 1, "mse": 1}, {"auc": 1, "mse": 1}, "'auc'.*otherwise"),
        ],
    )
    def test_bad_input(self, metrics, baselines, message):
        with pytest.raises(ValueError, match=message):
            maximize = None if "auc" in metrics else True
            delta_m(metrics, baselines, maximize)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
