import keras
import numpy as np
import pytest

from examples.existing_model import train


@pytest.fixture(scope="module")
def data():
    return train.make_data(600)


@pytest.fixture
def path(tmp_path):
    train.make_stock_model(tmp_path / "stock.keras")
    return tmp_path / "stock.keras"


class TestMakeData:
    def test_one_number_and_one_class(self, data):
        (x, y), (x_test, _) = data["train"], data["test"]
        assert x.shape == x_test.shape == (600, 10)
        np.testing.assert_allclose(y["amount"].var(), 1, rtol=0.2)
        assert set(y["risky"].ravel()) == {0.0, 1.0}
        assert not set(map(tuple, x)) & set(map(tuple, x_test))


class TestStockModel:
    def test_is_stock(self, path):
        model = keras.saving.load_model(path)
        assert type(model).__module__.startswith("keras.")
        assert list(model.output_names) == ["amount", "risky"]

    def test_seed_decides(self, path, tmp_path):
        first = keras.saving.load_model(path).get_weights()
        for seed, same in ((0, True), (1, False)):
            train.make_stock_model(tmp_path / "other.keras", seed)
            other = keras.saving.load_model(tmp_path / "other.keras")
            equal = np.array_equal(first[0], other.get_weights()[0])
            assert equal == same


class TestTraining:
    @pytest.mark.slow
    def test_stock_learns(self, path, data):
        before = train.evaluate(keras.saving.load_model(path), data["train"])
        model = train.train_stock(path, data, epochs=2, verbose=0)
        after = train.evaluate(model, data["train"])
        assert after["amount_mse"] < before["amount_mse"]

    @pytest.mark.slow
    def test_improved_learns_and_serves_a_plain_model(
        self, path, data, tmp_path
    ):
        stock = keras.saving.load_model(path)
        before = train.evaluate(stock, data["train"])
        model = train.train_improved(path, data, epochs=2, verbose=0)
        after = train.evaluate(model, data["train"])
        assert after["amount_mse"] < before["amount_mse"]

        assert type(model).__module__.startswith("keras.")
        assert not any("aux" in weight.path for weight in model.weights)
        x, _ = data["test"]
        served = train.save_for_serving(model, tmp_path, x[:32])
        assert served["keras_file"] == 0
        assert served["saved_model"] < 1e-5
        assert served["parameters"] == stock.count_params()


class TestEvaluate:
    def test_perfect_and_useless_predictions(self):
        inputs = keras.Input((2,))
        outputs = {
            "amount": keras.layers.Identity()(inputs[:, :1]),
            "risky": keras.layers.Identity()(inputs[:, 1:]),
        }
        model = keras.Model(inputs, outputs)
        x = np.array([[1.0, 1.0], [2.0, 0.0]], "float32")
        y = {"amount": x[:, :1], "risky": x[:, 1:]}
        result = train.evaluate(model, (x, y))
        assert result == {"amount_mse": 0.0, "risky_accuracy": 1.0}
        wrong = {"amount": x[:, :1] + 2, "risky": 1 - x[:, 1:]}
        result = train.evaluate(model, (x, wrong))
        assert result == {"amount_mse": 4.0, "risky_accuracy": 0.0}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
