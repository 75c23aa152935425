"""The settings of the methods."""

import pytest

from examples.multi_mnist import published
from examples.multi_mnist.methods import build_model
from examples.multi_mnist.methods import parse


@pytest.mark.parametrize(
    ("name", "mnist", "fashion"),
    [
        ("sum", 8e-4, 8e-4),
        ("pcgrad", 8e-4, 8e-4),
        ("uncertainty", 1e-3, 1e-3),
        ("self_auxiliary", 6e-4, 7e-4),
        ("mgda_ub", 3e-3, 7e-4),
        ("pta_f4", 4e-4, 5e-4),
        ("mean", 8e-4, 8e-4),
        # Its weights add up to a half.
        ("stch", 16e-4, 16e-4),
    ],
)
def test_learning_rates(name, mnist, fashion):
    rates = [
        published.default_learning_rate(name.split("+"), source)
        for source in ("mnist", "fashion_mnist")
    ]
    assert rates == pytest.approx([mnist, fashion])


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("sum", 0.5),
        ("pcgrad", 0.5),
        ("self_auxiliary", 0.5),
        ("pta_f2", 0.5),
        # Weights that add up to one, and those that are published as they are.
        ("mgda_ub", 1.0),
        ("uncertainty", 1.0),
        ("single_left", 1.0),
    ],
)
def test_losses_are_weighed_as_published(name, weight):
    model = build_model(
        parse(name), size="small", source="mnist", learning_rate=1e-3
    )
    weights = model.get_compile_config()["loss_weights"]
    assert set(weights.values()) == {weight}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
