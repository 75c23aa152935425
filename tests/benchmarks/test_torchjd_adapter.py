"""Our methods under TorchJD's names, on classes like TorchJD's."""

import importlib.util

import numpy as np
import pytest

from benchmarks import torchjd_adapter

needs_torchjd = pytest.mark.skipif(
    importlib.util.find_spec("torchjd") is None, reason="needs TorchJD"
)
ROWS = [[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]]


@pytest.fixture(name="aggregation")
def fixture_aggregation(monkeypatch):
    """TorchJD with our methods in it, until the test ends."""
    from torchjd import aggregation

    found = [*vars(aggregation).values()]
    found += vars(aggregation._nash_mtl).values()
    for cls in [value for value in found if isinstance(value, type)]:
        for name in ("forward", "reset"):
            if name in vars(cls):
                monkeypatch.setattr(cls, name, vars(cls)[name])
    torchjd_adapter.install(aggregation)
    torchjd_adapter.calls.clear()
    return aggregation


@needs_torchjd
class TestInstall:
    def test_tensors_go_in_and_come_out(self, aggregation):
        import torch

        rows = torch.tensor(ROWS, requires_grad=True)
        weights = aggregation.MGDAWeighting()(rows @ rows.T)
        np.testing.assert_allclose(weights.numpy(), [0.6, 0.4], atol=1e-6)
        assert weights.dtype == torch.float32 and not weights.requires_grad
        assert torchjd_adapter.calls == {"MGDAWeighting"}

    @pytest.mark.slow
    def test_exact_where_torchjd_regularises(self, aggregation):
        import torch

        gram = torch.tensor(ROWS) @ torch.tensor(ROWS).T
        weights = aggregation.UPGradWeighting()(gram).numpy()
        # Half of PCGrad's: 1 + 22 / 18 and 1 + 22 / 38.
        np.testing.assert_allclose(weights, [10 / 9, 15 / 19], rtol=1e-6)

    def test_attributes_are_read_in_every_call(self, aggregation):
        import torch

        method = aggregation.AlignedMTL()
        before = method(torch.tensor(ROWS))
        method.pref_vector = torch.tensor([1.0, 1.0])
        after = method(torch.tensor(ROWS))
        np.testing.assert_allclose(after, 2 * before, rtol=1e-5)

    def test_memory_lasts_until_it_is_reset(self, aggregation):
        import torch

        gram = torch.tensor([[1.0, -0.5], [-0.5, 1.0]])
        method = aggregation.GradVacWeighting(beta=0.5)
        first = method(gram)
        # The cosine -1/2 is half of the target now.
        np.testing.assert_allclose(
            method._phi_t.numpy(), [[0, -0.25], [-0.25, 0]], atol=1e-6
        )
        assert not np.allclose(first, method(gram))
        method.reset()
        assert method._phi_t is None
        np.testing.assert_allclose(first, method(gram), rtol=1e-6)

    def test_torchs_seed_is_ours(self, aggregation):
        import torch

        draws = []
        for _ in range(2):
            torch.manual_seed(3)
            draws.append(aggregation.Random()(torch.tensor(ROWS)).numpy())
        np.testing.assert_array_equal(*draws)
        assert not np.array_equal(
            draws[0], aggregation.Random()(torch.tensor(ROWS)).numpy()
        )

    def test_every_method_is_exchanged(self, aggregation):
        names = torchjd_adapter.install(aggregation)
        weightings = {n for n in dir(aggregation) if n.endswith("Weighting")}
        assert weightings - {"Weighting"} <= set(names)
        assert {"ConFIG", "GradDrop", "TrimmedMean"} <= set(names)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
