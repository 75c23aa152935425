import numpy as np
import pytest

from keras_mtl.datasets import load_census_income
from keras_mtl.datasets.census_income import COLUMNS
from tests.datasets.census_rows import make_rows
from tests.datasets.census_rows import write_rows


def ages(part):
    """Order and identity of a part's rows, whose ages all differ."""
    return part[0]["age"]


@pytest.fixture
def rows():
    rows = make_rows(23)
    for age, row in enumerate(rows):
        row["age"] = str(age)
        row["marital_status"] = "Never married" if age % 3 else "Widowed"
        row["income"] = "50000+." if age % 4 == 0 else "- 50000."
    return rows


class TestOneFile:
    def test_parts(self, rows, tmp_path):
        write_rows(tmp_path / "census-income.test.gz", rows)
        data = load_census_income(tmp_path)
        parts = {
            "validation": [0, 5, 10, 15, 20],
            "test": [1, 6, 11, 16, 21],
            "train": [i for i in range(23) if i % 5 > 1],
        }
        training = np.array(parts["train"])
        for part, numbers in parts.items():
            numbers = np.array(numbers)
            x, y = getattr(data, part)
            expected = (numbers - training.mean()) / training.std()
            np.testing.assert_allclose(x["age"], expected, rtol=1e-5)
            np.testing.assert_array_equal(y["marital"], numbers % 3 > 0)
            np.testing.assert_array_equal(y["income"], numbers % 4 == 0)
            for task in ("income", "marital"):
                assert y[task].dtype == np.int32

    def test_a_file_or_its_folder(self, rows, tmp_path):
        path = tmp_path / "census-income.data"
        write_rows(path, rows)
        assert_same(load_census_income(path), load_census_income(tmp_path))

    def test_zipped_or_not(self, rows, tmp_path):
        for name in ("a.data", "b.data.gz"):
            write_rows(tmp_path / name, rows)
        assert_same(
            load_census_income(tmp_path / "a.data"),
            load_census_income(tmp_path / "b.data.gz"),
        )

    def test_limit(self, rows, tmp_path):
        write_rows(tmp_path / "all.data", rows)
        write_rows(tmp_path / "few.data", rows[:11])
        assert_same(
            load_census_income(tmp_path / "all.data", limit=11),
            load_census_income(tmp_path / "few.data"),
        )

    def test_lines_without_text_are_skipped(self, rows, tmp_path):
        path = tmp_path / "census-income.data"
        write_rows(path, rows)
        expected = load_census_income(path)
        path.write_text(path.read_text().replace("\n", "\n\n") + " \n")
        assert_same(load_census_income(path), expected)


class TestTwoFiles:
    def test_parts(self, rows, tmp_path):
        write_rows(tmp_path / "census-income.data", rows[:15])
        write_rows(tmp_path / "census-income.test.gz", rows[15:])
        data = load_census_income(tmp_path)
        mean, deviation = np.arange(15).mean(), np.arange(15).std()
        for part, numbers in (
            (data.train, range(15)),
            (data.validation, range(15, 23, 2)),
            (data.test, range(16, 23, 2)),
        ):
            np.testing.assert_allclose(
                ages(part) * deviation + mean, numbers, atol=1e-5
            )


class TestFeatures:
    def test_columns(self, rows, tmp_path):
        write_rows(tmp_path / "census-income.data", rows)
        data = load_census_income(tmp_path)
        assert set(COLUMNS) - set(data.train[0]) == {
            "education",
            "income",
            "instance_weight",
            "marital_status",
        }
        assert len(data.vocabularies) == 31
        assert data.numeric == [
            "age",
            "wage_per_hour",
            "capital_gains",
            "capital_losses",
            "dividends",
            "persons_worked_for_employer",
            "weeks_worked",
        ]
        for name, values in data.train[0].items():
            kind = np.float32 if name in data.numeric else np.int32
            assert values.dtype == kind
            assert values.shape == data.train[1]["income"].shape

    def test_education(self, rows, tmp_path):
        write_rows(tmp_path / "census-income.data", rows)
        data = load_census_income(tmp_path, education=True)
        assert "education" in data.train[0]
        assert "education" in data.vocabularies

    def test_vocabulary_is_of_the_training_part(self, rows, tmp_path):
        for row in rows:
            row["sex"] = "Male"
        rows[2]["sex"] = "Female"  # training
        rows[1]["sex"] = "Unheard of"  # test
        write_rows(tmp_path / "census-income.data", rows)
        data = load_census_income(tmp_path)
        assert data.vocabularies["sex"] == ["", "Female", "Male"]
        assert data.train[0]["sex"][0] == 1
        assert data.train[0]["sex"][1] == 2
        assert data.test[0]["sex"][0] == 0

    def test_a_number_that_never_changes(self, rows, tmp_path):
        for row in rows:
            row["dividends"] = "7"
        write_rows(tmp_path / "census-income.data", rows)
        x, _ = load_census_income(tmp_path).train
        np.testing.assert_array_equal(x["dividends"], 0)

    def test_standardised_in_double_precision(self, rows, tmp_path):
        for row in rows:
            row["dividends"] = str(10**9 + int(row["age"]))
        write_rows(tmp_path / "census-income.data", rows)
        x, _ = load_census_income(tmp_path).train
        np.testing.assert_allclose(x["dividends"], x["age"], rtol=1e-4)


class TestBadInput:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError) as raised:
            load_census_income(tmp_path)
        for part in ("archive.ics.uci.edu", "census-income.data", tmp_path):
            assert str(part) in str(raised.value)

    def test_limit(self, tmp_path):
        for limit in (4, 5.5, True):
            with pytest.raises(ValueError, match=f"`limit`.*limit={limit}"):
                load_census_income(tmp_path, limit=limit)

    @pytest.mark.parametrize("line", ["39, State-gov, <=50K", "{row}, more"])
    def test_another_data_set(self, rows, tmp_path, line):
        path = tmp_path / "census-income.data"
        write_rows(path, rows)
        row = ", ".join(rows[0].values())
        path.write_text(path.read_text() + line.format(row=row) + "\n")
        with pytest.raises(ValueError, match="line 24, is not of Census"):
            load_census_income(path)

    def test_another_label(self, rows, tmp_path):
        rows[3]["income"] = "<=50K"
        write_rows(tmp_path / "census-income.data", rows)
        with pytest.raises(ValueError, match="line 4.*<=50K"):
            load_census_income(tmp_path)

    def test_no_number(self, rows, tmp_path):
        rows[3]["weeks_worked"] = "many"
        write_rows(tmp_path / "census-income.data", rows)
        with pytest.raises(ValueError, match="'weeks_worked'.*'many'"):
            load_census_income(tmp_path)

    def test_too_few_rows(self, rows, tmp_path):
        write_rows(tmp_path / "census-income.data", rows[:4])
        with pytest.raises(ValueError, match="at least 5 rows"):
            load_census_income(tmp_path)


class TestRealFile:
    def test_first_rows(self, census_income_dir):
        data = load_census_income(census_income_dir, limit=10)
        # Row 2 of the file: a boy of two, the first training row.
        x, y = data.train
        assert y["marital"][0] == 1
        assert y["income"][0] == 0
        sex = data.vocabularies["sex"]
        assert sex[x["sex"][0]] == "Male"
        assert x["age"][0] == min(x["age"])

    def test_all_rows(self, census_income_dir):
        data = load_census_income(census_income_dir)
        parts = (data.train, data.validation, data.test)
        assert [len(ages(part)) for part in parts] == [59856, 19953, 19953]
        labels = {
            task: np.concatenate([y[task] for _, y in parts])
            for task in ("income", "marital")
        }
        assert labels["income"].sum() == 6186
        assert labels["marital"].sum() == 43143
        assert len(data.vocabularies["country_of_birth"]) == 44


def assert_same(data, expected):
    for part in ("train", "validation", "test"):
        for received, wanted in zip(
            getattr(data, part), getattr(expected, part)
        ):
            assert set(received) == set(wanted)
            for name, values in wanted.items():
                np.testing.assert_array_equal(received[name], values)
    assert data.vocabularies == expected.vocabularies


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
