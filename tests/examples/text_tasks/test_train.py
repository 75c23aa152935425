import json

import numpy as np
import pytest

from examples.text_tasks import train
from examples.text_tasks.train import Config


class TestTrain:
    @pytest.mark.slow
    def test_learns_real_texts(self, tfds_data_dir, tmp_path):
        data = train.load("trec", limit=300, data_dir=tfds_data_dir)
        assert data.train[0].shape == (270, train.MAX_LENGTH)
        config = Config(
            source="trec",
            architecture="hard_sharing",
            budget=31_400,
            epochs=4,
            batch_size=30,
            learning_rate=0.01,
            limit=300,
        )
        record = train.train(config, tmp_path, data, verbose=0)
        path = tmp_path / "trec" / "hard_sharing-lr0.01-seed0.json"
        assert json.loads(path.read_text()) == record
        assert record["tasks"] == ["coarse", "fine"]
        assert abs(record["parameters"] - 31_400) <= 628
        assert record["embeddings"] == 64 * len(data.vocabulary)
        losses = [row["loss"] for row in record["history"]]
        assert losses[-1] < 0.9 * losses[0]
        for accuracy in record["result"]["test"].values():
            assert 0 <= accuracy <= 1


class TestAccuracy:
    def test_share_of_right_classes(self):
        logits = np.array([[0.0, 2.0], [3.0, 1.0], [-1.0, -2.0], [1.0, 0.0]])
        assert train.accuracy(np.array([1, 0, 1, 0]), logits) == 0.75


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
