"""A LeNet of one task, with a self-auxiliary head and without."""

import pytest

from examples.small_towers.digits import study
from keras_mtl.comparison import Trial

optuna = pytest.importorskip("optuna")


def test_networks(tmp_path):
    for size, dense in (("small", 2), ("large", 6)):
        comparison = study.make_comparison(tmp_path / size, size, 10)
        for method, width in (("sum", None), ("self_auxiliary", 8)):
            arguments = comparison.methods[method]
            settings = {"learning_rate": 0.1, "weight": 0.5}
            chosen = optuna.trial.FixedTrial(settings)
            model = comparison.build(Trial(method, arguments, chosen, 0))
            names = [type(layer).__name__ for layer in model.layers]
            assert names.count("Dense") == dense
            if method == "sum":
                assert model.auxiliaries is None
                continue
            (head,) = model.auxiliaries.heads.values()
            assert head.bottleneck == (width if size == "small" else None)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
