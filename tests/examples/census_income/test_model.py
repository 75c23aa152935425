import keras
import numpy as np
import pytest

from examples.budget import count_parameters
from examples.census_income import model
from examples.census_income import train
from keras_mtl.datasets import load_census_income
from tests.datasets.census_rows import make_rows
from tests.datasets.census_rows import write_rows

every_architecture = pytest.mark.parametrize(
    "architecture", model.ARCHITECTURES
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("census") / "census-income.data"
    write_rows(path, make_rows(50))
    return load_census_income(path)


class TestBuild:
    @every_architecture
    def test_logits_of_both_tasks(self, data, architecture):
        network = model.build(architecture, data, 3)
        outputs = network.predict_on_batch(data.test[0])
        assert set(outputs) == {"income", "marital"}
        for values in outputs.values():
            assert values.shape == (10, 1)
        # A logit is no probability.
        assert min(values.min() for values in outputs.values()) < 0

    def test_every_feature_counts(self, data):
        network = model.build("shared_bottom", data, 8)
        x, _ = data.test
        before = network.predict_on_batch(x)
        for name, values in x.items():
            other = values + 1
            if name in data.vocabularies:
                other %= len(data.vocabularies[name])
            after = network.predict_on_batch({**x, name: other})
            for task in model.TASKS:
                assert not np.array_equal(after[task], before[task]), name

    @pytest.mark.parametrize(
        ("architecture", "shared"),
        [("single", 0), ("shared_bottom", 3), ("cross_stitch", 5)],
    )
    def test_what_is_shared(self, data, architecture, shared):
        network = model.build(architecture, data, 5)
        x, _ = data.test
        before = network.predict_on_batch(x)
        reaches = []
        for variable in network.trainable_variables:
            kept = np.array(variable)
            variable.assign(kept + 1.0)
            after = network.predict_on_batch(x)
            variable.assign(kept)
            changed = [
                t for t in after if not np.array_equal(after[t], before[t])
            ]
            reaches.append(len(changed))
        assert min(reaches) == 1
        assert reaches.count(2) >= shared
        assert (max(reaches) == 1) == (shared == 0)


class TestFeatures:
    def test_columns_have_rows_of_their_own(self, data):
        inputs = {
            name: keras.Input((), name=name, dtype=str(values.dtype))
            for name, values in data.train[0].items()
        }
        network = keras.Model(inputs, model.features(inputs, data))
        (table,) = network.trainable_variables
        sizes = [len(v) for v in data.vocabularies.values()]
        assert table.shape == (sum(sizes), model.EMBEDDING_DIM)
        x, _ = data.test
        rows = network.predict_on_batch(x)
        values, start = np.array(table), 0
        for column, (name, size) in enumerate(zip(data.vocabularies, sizes)):
            embedded = rows[:, 4 * column : 4 * column + 4]
            expected = values[start : start + size][x[name]]
            np.testing.assert_array_equal(embedded, expected)
            start += size
        for offset, name in enumerate(data.numeric):
            column = 4 * len(sizes) + offset
            np.testing.assert_array_equal(rows[:, column], x[name])


class TestBudget:
    @pytest.mark.slow
    @every_architecture
    def test_a_unit_of_width_is_less_than_two_percent(self, data, architecture):
        counts = [
            count_parameters(model.build(architecture, data, width))
            for width in (1, 2, 30, 31)
        ]
        assert counts == sorted(set(counts))
        assert counts[3] - counts[2] < 2 * 0.02 * train.Config.budget


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
