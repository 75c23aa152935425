"""The files of a comparison."""

import pytest

from keras_mtl.comparison.records import Planned
from keras_mtl.comparison.records import Records
from keras_mtl.comparison.records import read
from keras_mtl.comparison.records import write


def test_runs_and_fronts(tmp_path):
    records = Records(tmp_path / "new")
    records.write_trial("sum", 3, {"score": 1.0})
    assert records.find_trial("sum", 3) == {
        "method": "sum", "trial": 3, "score": 1.0
    }  # fmt: skip
    assert records.find_trial("sum", 4) is None
    alone = records.test_path(3, Planned("sum", 1, None))
    along = records.test_path(3, Planned("sum", 1, {"a": 0.25, "b": 0.75}))
    assert alone.name == "sum-trial3-seed1.json"
    assert along.name == "sum-trial3-0.25-0.75-seed1.json"
    for path in (alone, along):
        write(path, {"name": path.name})
    assert [row["name"] for row in records.tests()] == [alone.name, along.name]


def test_setup(tmp_path):
    records = Records(tmp_path)
    assert records.num_trials == 0
    name = records.studies_name()
    # Nothing came of the first one.
    records.check_setup({"a": 2, "c": 1}, 5)
    records.check_setup({"a": 1}, 5)
    assert records.studies_name() == name
    records.write_trial("sum", 0, {})
    records.check_setup({"c": 2}, 5)
    records.check_setup({"a": 1, "b": 2}, 7)
    assert records.num_trials == 7
    with pytest.raises(ValueError, match="`directory` holds runs of another"):
        records.check_setup({"b": 3}, 7)


def test_a_broken_file(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="must hold a run as JSON. Remove it"):
        read(tmp_path / "a.json")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
