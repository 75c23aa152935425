import keras
import pytest

from examples.multi_mnist.model import build_lenet


class TestLeNet:
    @pytest.mark.parametrize(
        ("size", "trunk", "tower"),
        [
            ("small", 41_330, 510),
            ("medium", 43_880, 3_060),
            ("large", 46_430, 5_610),
            ((1, 3), 41_330, 5_610),
        ],
    )
    def test_parameters_as_published(self, size, trunk, tower):
        model = build_lenet(size)
        assert model.count_params() == trunk + 2 * tower
        representation = keras.Model(
            model.inputs, model.get_layer("representation").output
        )
        assert representation.count_params() == trunk
        assert representation.output.shape == (None, 50)

    @pytest.mark.parametrize("size", ["huge", (0, 1), (2, 0)])
    def test_names_a_wrong_size(self, size):
        with pytest.raises(ValueError, match="`size`.*size="):
            build_lenet(size)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
