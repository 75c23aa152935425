"""All that may be given as points."""

import types

import keras
import numpy as np
import pytest

from keras_mtl.pareto import Points
from keras_mtl.pareto.points import as_fronts
from keras_mtl.pareto.points import as_points
from keras_mtl.pareto.points import as_points_together

VALUES = [[1.0, 4.0], [2.0, 3.0], [0.0, 9.0]]
BY_TASK = {"left": [1, 2, 0], "right": np.array([4, 3, 9], "float32")}
RECORDS = [
    {"left": 1, "right": 4},
    {"right": 3, "left": 2},
    {"left": 0, "right": 9},
]
ROWS = [
    {"config": {"method": "sum"}, "seed": 0},
    {"config": {"method": "mgda"}, "seed": 0},
    {"config": {"method": "sum"}, "seed": 1},
]


class TestAsPoints:
    @pytest.mark.parametrize("given", [VALUES, np.array(VALUES, "int32")])
    def test_an_array(self, given):
        points = as_points(given)
        np.testing.assert_array_equal(points.values, VALUES)
        assert points.tasks is None and not points.maximize.any()

    @pytest.mark.parametrize("given", [BY_TASK, RECORDS])
    def test_with_names(self, given):
        points = as_points(given, maximize={"right": True, "left": False})
        np.testing.assert_array_equal(points.values, VALUES)
        assert points.tasks == ["left", "right"]
        assert points.maximize.tolist() == [False, True]
        np.testing.assert_array_equal(points.costs, [[1, -4], [2, -3], [0, -9]])

    def test_tensors(self):
        points = as_points(keras.ops.convert_to_tensor(VALUES))
        np.testing.assert_array_equal(points.values, VALUES)

    def test_a_table_of_pandas(self):
        pandas = pytest.importorskip("pandas")
        points = as_points(pandas.DataFrame(BY_TASK), False)
        np.testing.assert_array_equal(points.values, VALUES)
        assert points.tasks == ["left", "right"]

    @pytest.mark.parametrize(
        "given, message",
        [
            ([], "`points` must hold a point at least"),
            ({}, "`points` must hold a point at least"),
            ({"left": [], "right": []}, "`points` must hold a point at least"),
            (np.zeros((3, 0)), "`points` must hold a point at least"),
            (np.zeros((0, 2)), "`points` must hold a point at least"),
            ([1, 2], r"of shape \[points, tasks\].*\(2,\)"),
            (np.zeros((2, 2, 2)), r"of shape \[points, tasks\].*\(2, 2, 2\)"),
            ([[1, 2], [3]], "`points` must hold numbers, equally many"),
            ([["1", "2"]], "`points` must hold numbers"),
            ([[True, False]], "`points` must hold numbers"),
            ([[1j, 2]], "`points` must hold numbers"),
            ([[None, 2]], "`points` must hold numbers"),
            (None, "`points` must hold numbers"),
            ({"left": [1, 2], "right": [1]}, "equally many.*'right': .1,."),
            ({"left": 1, "right": 2}, "equally many values of each task"),
            ({"left": [[1]], "right": [[2]]}, "equally many values"),
            ([{"left": 1}, {"right": 1}], "same tasks.*'right'.*in point 1"),
            ([{"left": 1}, 3], "same tasks.*3 in point 1"),
            ([3, {"left": 1}], "same tasks.*3 in point 0"),
            ([{"left": [1, 2]}], "one number for each task"),
            ([[1, np.nan]], "finite.*nan of column 1 in point 0, and 0 more"),
            ({"a": [1, 2], "b": [np.inf, 2]}, "inf of task 'b' in point 0"),
        ],
    )
    def test_what_are_none(self, given, message):
        with pytest.raises(ValueError, match=message):
            as_points(given)

    def test_directions_are_not_turned_around(self):
        points = Points(np.array(VALUES), None, np.array([True, False]))
        assert as_points(points) is points
        assert as_points(points, [True, False]).maximize[0]
        with pytest.raises(
            ValueError, match="mixes directions: smaller.*of column 1"
        ):
            as_points(points, True)


class TestAsFronts:
    @pytest.mark.parametrize("given", [VALUES, BY_TASK, RECORDS])
    def test_points_alone_have_no_label(self, given):
        (label,) = as_fronts(given, False)
        assert label == ""

    @pytest.mark.parametrize(
        "given", [np.array(VALUES), VALUES, RECORDS, BY_TASK]
    )
    def test_labels(self, given):
        fronts = as_fronts({"sum": given, 3: given}, maximize=True)
        assert list(fronts) == ["sum", 3]
        for points in fronts.values():
            np.testing.assert_array_equal(points.values, VALUES)
            assert points.maximize.all()

    def test_columns_are_in_one_order(self):
        other = {"right": [4, 3, 9], "left": [1, 2, 0]}
        first, second = as_fronts({"a": BY_TASK, "b": other}, False).values()
        assert first.tasks == second.tasks
        np.testing.assert_array_equal(first.values, second.values)

    @pytest.mark.parametrize(
        "other, message",
        [
            ({"left": [1], "up": [2]}, "'left', 'right'.*'left', 'up'"),
            ([[1, 2]], "2 columns without names"),
            ({"left": [1]}, "Received: .'left'"),
            ([], "hold a point at least"),
        ],
    )
    def test_other_tasks(self, other, message):
        with pytest.raises(ValueError, match=r"`fronts\['b'\]`.*" + message):
            as_fronts({"a": Points(np.array(VALUES), [*BY_TASK]), "b": other})

    def test_mixed_directions(self):
        points = [
            Points(np.array(VALUES), ["left", "right"], np.array(maximize))
            for maximize in ([True, True], [True, False])
        ]
        with pytest.raises(ValueError, match="mixes directions.*'right'"):
            as_fronts(dict(enumerate(points)))

    def test_what_one_says_holds_for_those_that_say_nothing(self):
        knows = Points(np.array(VALUES), None, np.array([True, False]))
        together = as_points_together({"a": VALUES, "b": knows})
        for points in together:
            assert points.maximize.tolist() == [True, False]


class TestPoints:
    points = Points(np.array(VALUES), ["left", "right"], None, ROWS)

    def test_some_of_them(self):
        some = self.points[np.array([True, False, True])]
        np.testing.assert_array_equal(some, [VALUES[0], VALUES[2]])
        assert some.rows == [ROWS[0], ROWS[2]]
        assert len(self.points[1]) == 1 and len(self.points[1:]) == 2

    def test_may_be_made_by_hand(self):
        points = Points([[1, 2]], ["a", "b"], {"b": True, "a": False})
        assert points.values.dtype == "float64"
        assert points.maximize.tolist() == [False, True]

    @pytest.mark.parametrize(
        "arguments, message",
        [
            (([1, 2],), r"`values` must be of shape \[points, tasks\]"),
            (([["a", "b"]],), "`values` must hold numbers"),
            (([[1, 2]], ["a"]), r"`tasks` must be 2.*\(1, 2\).*1"),
            (([[1, 2]], None, None, [{}, {}]), "`rows` must be 1.*2"),
            (([[1, 2]], None, [True]), "`maximize` must be"),
        ],
    )
    def test_what_does_not_fit(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            Points(*arguments)

    def test_is_shown_in_brief(self):
        assert repr(self.points) == (
            "Points of 3 x 2 values, tasks=['left', 'right'], maximize=None"
        )

    def test_as_an_array(self):
        array = np.asarray(self.points)
        np.testing.assert_array_equal(array, VALUES)
        assert np.asarray(self.points, "float32").dtype == "float32"

    def test_groups(self):
        groups = self.points.by("config.method")
        assert list(groups) == ["sum", "mgda"]
        np.testing.assert_array_equal(groups["sum"], [VALUES[0], VALUES[2]])
        assert list(groups["sum"].by("seed")) == [0, 1]
        assert list(self.points.by(["config.method", "seed"])) == [
            ("sum", 0),
            ("mgda", 0),
            ("sum", 1),
        ]

    def test_groups_of_what_has_no_rows(self):
        with pytest.raises(ValueError, match="no rows.*'seed'"):
            Points(np.array(VALUES)).by("seed")
        with pytest.raises(ValueError, match="no 'sed' in point 0.*'seed'"):
            self.points.by("sed")


def test_anything_with_trials_and_directions_is_a_study():
    state = types.SimpleNamespace(name="COMPLETE")
    trial = types.SimpleNamespace(
        state=state,
        values=[1.0, 2.0],
        number=0,
        params={},
        user_attrs={},
        system_attrs={},
    )
    direction = types.SimpleNamespace(name="MAXIMIZE")
    study = types.SimpleNamespace(trials=[trial], directions=[direction] * 2)
    assert as_points(study).maximize.all()


def test_names_of_tasks_are_a_list_of_text():
    values = np.ones((1, 2))
    assert Points(values, ("a", 1)).tasks == ["a", "1"]
    fronts = {"x": Points(values, ("a", "b")), "y": Points(values, ["a", "b"])}
    assert list(as_fronts(fronts, maximize=True)) == ["x", "y"]


def test_names_of_tasks_are_different():
    with pytest.raises(ValueError, match="`tasks` must have different names"):
        Points(np.ones((1, 2)), ["a", "a"])
    with pytest.raises(ValueError, match="different names, as text"):
        as_points({1: [1.0], "1": [2.0]}, maximize=True)


@pytest.mark.parametrize("empty", [[], np.zeros(0), np.zeros((0, 0, 2))])
def test_of_nothing_at_all(empty):
    with pytest.raises(ValueError, match=r"of shape \[points, tasks\]"):
        Points(empty)
    with pytest.raises(ValueError, match="`points` must hold a point at least"):
        as_points(empty)


def test_masked_values_are_no_values():
    hidden = np.ma.masked_less([[1.0, 2.0], [-9.0, 3.0]], 0)
    with pytest.raises(ValueError, match="masked"):
        as_points(hidden)
    # A mask that hides nothing is none.
    assert len(as_points(np.ma.masked_less([[1.0, 2.0]], 0))) == 1


def test_a_column_that_is_no_name():
    points = Points([[1.0, 2.0]], rows=[{"seed": 3}])
    with pytest.raises(ValueError, match="A column must be a string.*3"):
        points.by(3)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
