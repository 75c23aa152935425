"""Small files of the format of Census-Income (KDD), for tests."""

import gzip
import pathlib

import numpy as np

from keras_mtl.datasets.census_income import CATEGORICAL
from keras_mtl.datasets.census_income import COLUMNS


def make_rows(count, seed=0):
    """Rows whose labels depend on age and sex, as dicts by column."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        row = {
            name: f"value {rng.integers(3)}"
            if kind == CATEGORICAL
            else str(rng.integers(5))
            for name, kind in COLUMNS.items()
        }
        age, woman = rng.integers(90), rng.integers(2)
        row["age"] = str(age)
        row["sex"] = "Female" if woman else "Male"
        row["instance_weight"] = f"{rng.uniform(100, 2000):.2f}"
        row["marital_status"] = "Never married" if age < 30 else "Divorced"
        rich = age > 60 and not woman
        row["income"] = "50000+." if rich else "- 50000."
        rows.append(row)
    return rows


def write_rows(path, rows):
    """Writes them as UCI does; as gzip, if the name ends in .gz."""
    text = "".join(", ".join(row.values()) + "\n" for row in rows)
    data = text.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    pathlib.Path(path).write_bytes(data)
