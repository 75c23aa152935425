import keras
import numpy as np
import pytest

from examples.multi_mnist.model import build_lenet
from examples.small_towers.probe import probe as probes


class TestProbe:
    def test_finds_what_is_linear_in_a_layer(self):
        rng = np.random.default_rng(0)
        labels = np.arange(400) % 10
        # The left label can be read off a line, the right one not at all.
        x = np.eye(10, dtype="float32")[labels]
        y = {"left": labels, "right": rng.permutation(labels)}
        inputs = keras.Input((10,))
        outputs = keras.layers.Rescaling(3.0, name="layer")(inputs)
        network = keras.Model(inputs, outputs)
        fitted, judged = (
            (x[rows], {task: y[task][rows] for task in y})
            for rows in (slice(300), slice(300, None))
        )
        found = probes.probe(network, "layer", fitted, judged)
        assert found["left"] == 1
        assert found["right"] < 0.3


class TestOutputOf:
    def test_finds_the_layers_of_every_network(self):
        for _ in range(2):
            network = build_lenet("large")
            shapes = [
                probes.output_of(network, layer).shape[1:]
                for layer in probes.LAYERS
            ]
            assert shapes == [(720,), (50,), (50,), (50,)]


class TestTable:
    def test_has_means_over_seeds(self):
        records = [
            {
                "config": {"method": method},
                "result": {
                    layer: {"left": left + step, "right": 0.5}
                    for layer in (*probes.LAYERS, "network")
                },
            }
            for method, left in (("sum", 0.8), ("self_auxiliary", 0.9))
            for step in (0, 0.02)
        ]
        rows = probes.table(records).splitlines()
        assert len(rows) == 2 + len(probes.LAYERS) + 1
        assert rows[-1] == (
            "| its own outputs | 81.00 ± 1.41 | 50.00 ± 0.00 "
            "| 91.00 ± 1.41 | 50.00 ± 0.00 |"
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
