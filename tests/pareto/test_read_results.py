"""Files of results, as examples and spreadsheets write them."""

import json

import numpy as np
import pytest

from keras_mtl.pareto import non_dominated
from keras_mtl.pareto import read_results
from keras_mtl.utils.files import append_row

RUNS = [
    {"config": {"method": "sum", "seed": 0}, "left": 0.9, "right": 0.5},
    {"config": {"method": "mgda", "seed": 0}, "left": 0.8, "right": 0.7},
    {"config": {"method": "sum", "seed": 1}, "left": 1, "right": 0.25},
]
VALUES = [[0.9, 0.5], [0.8, 0.7], [1, 0.25]]
TASKS = ["left", "right"]
CSV = "method,seed,left,right\nsum,0,0.9,5e-1\nmgda,0,.8,0.7\nsum,1,1,0.25\n"


def write_lines(path, rows=RUNS):
    for row in rows:
        append_row(path, row)
    return path


def write_folder(folder):
    for place, row in enumerate(RUNS):
        path = folder / "runs" / f"{place}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(row))
    return folder / "runs"


def write_list(path):
    path.write_text(json.dumps(RUNS))
    return path


def sources(folder):
    return [
        write_lines(folder / "runs.jsonl"),
        write_list(folder / "runs.json"),
        write_folder(folder),
    ]


def test_json_lines_a_list_and_a_folder(tmp_path):
    for path in sources(tmp_path):
        points = read_results(path, TASKS, maximize=True)
        np.testing.assert_array_equal(points, VALUES)
        assert points.tasks == TASKS and points.maximize.all()
        assert list(points.rows) == RUNS
        assert list(points.by("config.method")) == ["sum", "mgda"]


def test_csv(tmp_path):
    path = tmp_path / "runs.csv"
    # With a byte order mark, as spreadsheets write it.
    path.write_text(CSV, encoding="utf-8-sig")
    points = read_results(path, TASKS, maximize=True)
    np.testing.assert_array_equal(points, VALUES)
    assert points.rows[0]["seed"] == 0 and points.rows[0]["method"] == "sum"
    assert list(points.by(["method", "seed"])) == [
        ("sum", 0),
        ("mgda", 0),
        ("sum", 1),
    ]


def test_directions_hold_from_then_on(tmp_path):
    path = write_lines(tmp_path / "runs.jsonl")
    points = read_results(path, TASKS, maximize={"left": True, "right": False})
    assert non_dominated(points).tolist() == [False, False, True]
    with pytest.raises(
        ValueError, match="mixes directions: smaller.*of task 'right'"
    ):
        non_dominated(points, maximize=True)


def test_directions_may_be_given_later(tmp_path):
    points = read_results(write_lines(tmp_path / "runs.jsonl"), TASKS)
    assert points.maximize is None
    more = {"config": {}, "left": 0.7, "right": 0.4}
    points = read_results(
        write_lines(tmp_path / "m.jsonl", [*RUNS, more]), TASKS
    )
    found = non_dominated(points, maximize=True)
    assert found.tolist() == [True, True, True, False]
    found = non_dominated(points, maximize=False)
    assert found.tolist() == [False, False, True, True]
    with pytest.raises(ValueError, match="'left', 'right'.*maximize=True"):
        non_dominated(points)


def test_columns_inside_and_other_names(tmp_path):
    rows = [{"history": [{"loss": 9.0}, {"loss": r["left"]}]} for r in RUNS]
    path = write_lines(tmp_path / "runs.jsonl", rows)
    columns = {"first": "history.0.loss", "last": "history.-1.loss"}
    points = read_results(path, columns)
    assert points.tasks == ["first", "last"]
    assert points.values.tolist() == [[9, 0.9], [9, 0.8], [9, 1]]


def test_some_of_the_runs(tmp_path):
    rows = [*RUNS, {"config": {"method": "pcgrad"}, "left": None}]
    path = write_lines(tmp_path / "runs.jsonl", rows)
    points = read_results(
        path, TASKS, where=lambda run: run["left"] is not None
    )
    assert len(points) == 3
    with pytest.raises(ValueError, match="'left'.*finite.*None in line 4"):
        read_results(path, TASKS)
    with pytest.raises(ValueError, match="for which `where` is true"):
        read_results(path, TASKS, where=lambda run: False)


def test_a_line_that_was_torn_by_a_kill(tmp_path):
    path = write_lines(tmp_path / "runs.jsonl")
    with path.open("a") as file:
        file.write('{"config": {"method": "s')
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="line 4.*is not whole.*left out"):
        points = read_results(path, TASKS)
    assert len(points) == 3
    # Who reads leaves the file alone.
    assert path.read_bytes() == before


def test_a_line_that_was_torn_inside_a_character(tmp_path):
    path = write_lines(tmp_path / "runs.jsonl")
    whole = path.read_bytes()
    torn = '{"config": "é'.encode()[:-1]
    path.write_bytes(whole + torn)
    with pytest.warns(UserWarning, match="line 4.*is not whole.*left out"):
        assert len(read_results(path, TASKS)) == 3
    path.write_bytes(whole + torn + b"\n" + whole)
    with pytest.raises(ValueError, match="line 4 of.*must be text in UTF-8"):
        read_results(path, TASKS)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.jsonl", "{]\n{}\n", "line 1 of '.*a.jsonl' must be JSON"),
        ("a.jsonl", "[1]\n", "line 1.*must be a run"),
        ("a.jsonl", "\n", "must hold a run. Received: none"),
        ("a.json", "{", "'.*a.json' must be JSON"),
        ("a.json", "[]", "must hold a run. Received: none"),
        ("a.jsonl", '{"left": NaN, "right": 1}\n', "'left'.*finite.*nan"),
        ("a.jsonl", '{"left": "1", "right": 1}\n', "'left'.*finite.*'1'"),
        ("a.jsonl", '{"left": true, "right": 1}\n', "'left'.*finite.*True"),
        ("a.jsonl", '{"lef": 1, "right": 1}\n', "Did you mean 'lef'"),
        ("a.csv", "left,right\n1\n", "line 2.*as many entries"),
        ("a.csv", "left,right\n1,2,3\n", "line 2.*as many entries"),
        ("a.csv", "left,right\n1,\n", "'right'.*finite.*None in line 2"),
        ("a.csv", "left,right\n1,nan\n", "'right'.*finite.*'nan' in line 2"),
        ("a.csv", "left,right\n1,1_0\n", "finite.*'1_0' in line 2"),
        ("a.csv", "left,right\n1,1e999\n", "finite.*'1e999' in line 2"),
        ("a.csv", "left,right\n", "must hold a run"),
        ("a.txt", "", "must be a folder, or end in one of"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_results(path, TASKS)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_results(tmp_path / "none.jsonl", TASKS)
    with pytest.raises(ValueError, match="`path`.*None"):
        read_results(None, TASKS)


@pytest.mark.parametrize("tasks", ["left", [], None, {"a": 1}, ["a", "a"]])
def test_bad_tasks(tmp_path, tasks):
    with pytest.raises(ValueError, match="`tasks` must be a sequence of"):
        read_results(tmp_path / "none.jsonl", tasks)


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_what_is_no_text_is_named(ending, tmp_path):
    path = tmp_path / f"runs.{ending}"
    path.write_bytes("a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(ValueError, match=f"runs.{ending}' must be text in UTF"):
        read_results(path, ["a", "b"], False)


def test_columns_of_one_name(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("a,a,b\n1,9,2\n")
    with pytest.raises(ValueError, match="different names of columns"):
        read_results(path, ["a", "b"], False)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
