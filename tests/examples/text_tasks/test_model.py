import dataclasses

import keras
import numpy as np
import pytest

from examples.text_tasks import model
from keras_mtl.datasets import TextTasks

every_architecture = pytest.mark.parametrize(
    "architecture", model.ARCHITECTURES
)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.integers(1, 9, (6, 4)), np.zeros((6, 1))], axis=1
    ).astype("int32")
    y = {"fine": np.arange(6) % 4, "coarse": np.arange(6) % 2}
    words = ["", "[UNK]", *"abcdefg"]
    part = (x, y)
    return TextTasks(part, part, part, words, {"fine": 4, "coarse": 2})


def call(network, x):
    # Nothing is compiled, which takes the longest with recurrent layers.
    outputs = network(x, training=False)
    return {t: keras.ops.convert_to_numpy(v) for t, v in outputs.items()}


class TestBuild:
    @every_architecture
    def test_logits_of_both_tasks(self, data, architecture):
        network = model.build(architecture, data, 4)
        outputs = call(network, data.test[0])
        assert outputs["fine"].shape == (6, 4)
        assert outputs["coarse"].shape == (6, 2)

    @pytest.mark.parametrize("architecture", ["hard_sharing", "sluice"])
    def test_padding_does_not_count(self, data, architecture):
        network = model.build(architecture, data, 2)
        x, _ = data.test
        longer = np.concatenate([x, np.zeros_like(x)], axis=1)
        part = (longer, None)
        more = model.build(
            architecture, dataclasses.replace(data, train=part), 2
        )
        more.set_weights(network.get_weights())
        short = call(network, x)
        for task, logits in call(more, longer).items():
            np.testing.assert_allclose(logits, short[task], atol=1e-5)

    def test_single_shares_nothing(self, data):
        network = model.build("single", data, 4)
        tables = [
            layer
            for layer in network.layers
            if isinstance(layer, keras.layers.Embedding)
        ]
        assert len(tables) == 2
        parts = [
            {
                id(variable)
                for variable in keras.Model(
                    network.inputs, output
                ).trainable_variables
            }
            for output in network.outputs
        ]
        assert parts[0]
        assert parts[1]
        assert not parts[0] & parts[1]

    def test_sluice_has_its_parts(self, data):
        network = model.build("sluice", data, 4)
        x, _ = data.test
        call(network, x)
        # A penalty for each direction, depth and task.
        assert len(network.losses) == 2 * model.DEPTH * 2
        assert network.get_layer("sluice_0").sharing_matrices()[
            0
        ].values.shape == (4, 4)
        assert network.get_layer("mixture").sharing_matrices()[
            0
        ].values.shape == (2, model.DEPTH)


class TestCountEmbeddings:
    @pytest.mark.parametrize(
        ("architecture", "tables"), [("single", 2), ("cross_stitch", 1)]
    )
    def test_tables(self, data, architecture, tables):
        network = model.build(architecture, data, 2)
        count = model.count_embeddings(network)
        assert count == tables * 9 * model.EMBEDDING_DIM


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
