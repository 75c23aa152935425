"""Census-Income (KDD): who earns over $50K, and who never married."""

import dataclasses
import gzip
import os
import pathlib
from collections.abc import Iterable

import numpy as np

from keras_mtl.utils.argument_validation import integer_from

Features = dict[str, np.ndarray]
Examples = tuple[Features, dict[str, np.ndarray]]
Columns = dict[str, list[str]]

TASKS = ("income", "marital")
PAGE = "https://archive.ics.uci.edu/dataset/117/census+income+kdd"
TRAIN_NAMES = ("census-income.data", "census-income.data.gz")
TEST_NAMES = ("census-income.test", "census-income.test.gz")

# The columns of the files, in their order.
NUMERIC = "numeric"
CATEGORICAL = "categorical"
LABEL = "label"
LEFT_OUT = "left out"
COLUMNS = {
    "age": NUMERIC,
    "class_of_worker": CATEGORICAL,
    "industry_code": CATEGORICAL,
    "occupation_code": CATEGORICAL,
    "education": CATEGORICAL,
    "wage_per_hour": NUMERIC,
    "enrolled_in_education": CATEGORICAL,
    "marital_status": LABEL,
    "major_industry": CATEGORICAL,
    "major_occupation": CATEGORICAL,
    "race": CATEGORICAL,
    "hispanic_origin": CATEGORICAL,
    "sex": CATEGORICAL,
    "union_member": CATEGORICAL,
    "reason_for_unemployment": CATEGORICAL,
    "full_or_part_time": CATEGORICAL,
    "capital_gains": NUMERIC,
    "capital_losses": NUMERIC,
    "dividends": NUMERIC,
    "tax_filer_status": CATEGORICAL,
    "previous_region": CATEGORICAL,
    "previous_state": CATEGORICAL,
    "household_and_family": CATEGORICAL,
    "household_summary": CATEGORICAL,
    # How many people a row stands for: of the survey, not of the person.
    "instance_weight": LEFT_OUT,
    "migration_in_msa": CATEGORICAL,
    "migration_in_region": CATEGORICAL,
    "migration_within_region": CATEGORICAL,
    "same_house_a_year_ago": CATEGORICAL,
    "migration_from_sunbelt": CATEGORICAL,
    "persons_worked_for_employer": NUMERIC,
    "parents_present": CATEGORICAL,
    "country_of_father": CATEGORICAL,
    "country_of_mother": CATEGORICAL,
    "country_of_birth": CATEGORICAL,
    "citizenship": CATEGORICAL,
    "self_employed": CATEGORICAL,
    "veterans_questionnaire": CATEGORICAL,
    "veterans_benefits": CATEGORICAL,
    "weeks_worked": NUMERIC,
    "year": CATEGORICAL,
    "income": LABEL,
}
INCOMES = {"- 50000.": 0, "50000+.": 1}
NEVER_MARRIED = "Never married"
HELD_OUT_STEP = 5  # of five rows one is validation and one test


@dataclasses.dataclass(frozen=True)
class CensusIncome:
    """What `load_census_income` returns.

    Attributes:
        train: `(x, y)`. `x` is a dict by column: `float32` arrays
            `(examples,)` of numeric columns and `int32` arrays `(examples,)`
            of codes of categorical ones. `y` is
            `{"income": labels, "marital": labels}`, `int32` arrays
            `(examples,)` of zeros and ones.
        validation: The same.
        test: The same.
        vocabularies: By categorical column, the value that each code stands
            for. Code 0 is any value that the training part does not have, so
            the column's codes are those of `range(len(vocabulary))`.
    """

    train: Examples
    validation: Examples
    test: Examples
    vocabularies: dict[str, list[str]]

    @property
    def numeric(self) -> list[str]:
        """Names of the numeric columns, in the order of the file."""
        return [n for n in self.train[0] if n not in self.vocabularies]


def load_census_income(
    path: str | os.PathLike,
    *,
    education: bool = False,
    limit: int | None = None,
) -> CensusIncome:
    """Reads the Census-Income (KDD) data: two binary tasks over one person.

    The tasks are those of the first pair in the paper on multi-gate mixtures
    of experts: `income`, whether a person earns more than $50,000 a year (1 in
    16 do), and `marital`, whether they never married (43 % did not). The
    columns that hold these labels are no features, nor is the instance weight.

    The parts depend on nothing but the order of the rows, and on which files
    there are:

    - `census-income.data` and `census-income.test`: the first (199,523 rows)
      is the training part; of the second (99,762 rows) every other row is
      validation and the rest test, where the paper halves it at random.
    - One of them alone, or a file that `path` names: of each five rows the
      first is validation, the second test and three are training, which makes
      59,856, 19,953 and 19,953 of the 99,762 rows of `census-income.test`.

    A quarter of the rows of `census-income.test`, most of them children's,
    equal another one in all that is kept here, so validation and test hold
    rows that training has seen. So do the paper's.

    Vocabularies of the categorical columns, and means and deviations by which
    the numeric ones are standardised, come from the training part alone.

    Args:
        path: A folder with `census-income.data` and/or `census-income.test`
            as UCI gives them, each as it is or with `.gz`; or one such file.
        education: If `True`, education is a feature, as in much public code.
            The paper leaves it out, because it is a label of its second pair
            of tasks. Defaults to `False`.
        limit: Optional int, read only the first `limit` rows of each file.

    Returns:
        A `CensusIncome` with `train`, `validation` and `test`, each
        `(x, {"income": labels, "marital": labels})` with `x` a dict by column,
        and `vocabularies`.

    Raises:
        FileNotFoundError: The files are not there. The message says where to
            download them.
        ValueError: A file holds something else.

    Example:

    ```python
    data = keras_mtl.datasets.load_census_income("census")
    x, y = data.train
    len(data.vocabularies["sex"])  # 3: unknown, "Female", "Male"
    model.fit(x, y, validation_data=data.validation)
    ```

    References:

    - [Census-Income (KDD)](https://doi.org/10.24432/C5N30T), CC BY 4.0
    - [Ma et al., 2018](https://doi.org/10.1145/3219819.3220007)
    """
    if limit is not None:
        # Fewer would leave a part without a row.
        limit = integer_from(HELD_OUT_STEP, "limit", limit)
    kept = {
        name: kind
        for name, kind in COLUMNS.items()
        if kind in (NUMERIC, CATEGORICAL) and (education or name != "education")
    }
    parts = _split([_read(file, limit) for file in _find(pathlib.Path(path))])
    encode = {
        name: _Vocabulary(parts["train"][name])
        if kind == CATEGORICAL
        else _Standardise(name, parts["train"][name])
        for name, kind in kept.items()
    }
    return CensusIncome(
        **{
            part: (
                {name: code(columns[name]) for name, code in encode.items()},
                _labels(columns),
            )
            for part, columns in parts.items()
        },
        vocabularies={
            name: code.values
            for name, code in encode.items()
            if isinstance(code, _Vocabulary)
        },
    )


def _find(path: pathlib.Path) -> list[pathlib.Path]:
    """The training and the test file, or the one there is."""
    if path.is_file():
        return [path]
    found = [
        next((path / n for n in names if (path / n).is_file()), None)
        for names in (TRAIN_NAMES, TEST_NAMES)
    ]
    if not any(found):
        raise FileNotFoundError(
            f"`path` should be a folder with {TRAIN_NAMES[0]} and "
            f"{TEST_NAMES[0]} (or .gz), or one of these files. Download them "
            f"from {PAGE}, unpack the archives, and pass the folder. "
            f"Received: path={str(path)!r}"
        )
    return [file for file in found if file is not None]


def _read(file: pathlib.Path, limit: int | None) -> Columns:
    opener = gzip.open if file.suffix == ".gz" else open
    rows = []
    with opener(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if limit is not None and len(rows) == limit:
                break
            values = [value.strip() for value in line.split(",")]
            if values == [""]:
                continue
            if len(values) != len(COLUMNS) or values[-1] not in INCOMES:
                raise ValueError(
                    f"{file}, line {number}, is not of Census-Income (KDD): "
                    f"a line should have {len(COLUMNS)} columns and end in "
                    f"one of {list(INCOMES)}. (The smaller 'Adult' data set is "
                    f"another one.) Received: {line.rstrip()!r}"
                )
            rows.append(values)
    if len(rows) < HELD_OUT_STEP:
        raise ValueError(
            f"{file} should hold at least {HELD_OUT_STEP} rows. Received: "
            f"{len(rows)} rows"
        )
    return dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))


def _split(files: list[Columns]) -> dict[str, Columns]:
    if len(files) == 2:
        train, held_out = files
        rows = range(len(held_out["age"]))
        return {
            "train": train,
            "validation": _take(held_out, rows[::2]),
            "test": _take(held_out, rows[1::2]),
        }
    rows = range(len(files[0]["age"]))
    return {
        "train": _take(files[0], [i for i in rows if i % HELD_OUT_STEP > 1]),
        "validation": _take(files[0], rows[::HELD_OUT_STEP]),
        "test": _take(files[0], rows[1::HELD_OUT_STEP]),
    }


def _take(columns: Columns, rows: Iterable[int]) -> Columns:
    return {
        name: [values[row] for row in rows] for name, values in columns.items()
    }


def _labels(columns: Columns) -> dict[str, np.ndarray]:
    income = [INCOMES[value] for value in columns["income"]]
    marital = [value == NEVER_MARRIED for value in columns["marital_status"]]
    return {
        "income": np.array(income, "int32"),
        "marital": np.array(marital, "int32"),
    }


class _Vocabulary:
    """Codes of the values of a column, from 1 up; 0 is any other value."""

    def __init__(self, values: list[str]):
        self.values = ["", *sorted(set(values))]
        self.codes = {value: code for code, value in enumerate(self.values)}

    def __call__(self, values: list[str]) -> np.ndarray:
        return np.array([self.codes.get(v, 0) for v in values], "int32")


class _Standardise:
    """Brings a column to mean 0 and deviation 1 of the training part."""

    def __init__(self, name: str, values: list[str]):
        self.name = name
        numbers = self.numbers(values)
        self.mean = numbers.mean()
        # A column of one value becomes zeros.
        self.deviation = numbers.std() or 1.0

    def __call__(self, values: list[str]) -> np.ndarray:
        numbers = self.numbers(values)
        return ((numbers - self.mean) / self.deviation).astype("float32")

    def numbers(self, values: list[str]) -> np.ndarray:
        try:
            return np.array(values, "float64")
        except ValueError as error:
            raise ValueError(
                f"Column {self.name!r} should hold numbers: {error}"
            ) from error
