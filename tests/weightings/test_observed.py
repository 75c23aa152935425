"""A weighting is shown what it reads, and nothing else."""

import keras
import numpy as np
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl.weightings import Observed
from keras_mtl.weightings import Weighting
from keras_mtl.weightings.observed import READABLE
from tests.tiers import slow_except

SHAPES = {"losses_after": (2,), "gradient_norms": (2,), "gradient_gram": (2, 2)}


class Probe(Weighting):
    """Keeps what it was shown last."""

    def __init__(self, reads):
        self.reads = frozenset(reads)
        super().__init__()

    def weights(self, losses):
        return keras.ops.ones_like(losses)

    def update(self, losses, observed):
        self.shown = losses, observed


@pytest.mark.parametrize(
    "reads",
    slow_except(
        [[], ["losses"], *([name] for name in SHAPES), list(SHAPES)],
        [],
        list(SHAPES),
    ),
)
def test_what_is_read_is_shown(reads):
    probe = Probe(reads)
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2, name="shared")(inputs)
    outputs = {t: keras.layers.Dense(1, name=t)(shared) for t in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        "sgd", dict.fromkeys("ab", "mse"), weighting=probe, jit_compile=False
    )
    x = np.ones((4, 3), "float32")
    model.train_on_batch(x, dict.fromkeys("ab", x[:, :1]))
    losses, observed = probe.shown
    assert tuple(losses.shape) == (2,)
    assert isinstance(observed, Observed)
    for name, value in observed._asdict().items():
        shape = None if value is None else tuple(value.shape)
        assert shape == (SHAPES[name] if name in reads else None)


def test_all_that_can_be_observed_can_be_read():
    assert READABLE == ("losses", *SHAPES)
    assert Observed() == (None,) * 3


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
