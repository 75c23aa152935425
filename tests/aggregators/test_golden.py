"""Every method against the golden table of `tests/golden`.

`pytest -s` shows the largest relative error of an update for each method and
number of tasks.
"""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import aggregators
from keras_mtl import testing
from keras_mtl.aggregators.pcgrad import project_conflicts
from tests.golden import cases
from tests.golden import make_golden
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

TABLE = np.load(make_golden.PATH)
IS_JAX = keras.backend.backend() == "jax"
# XLA compiles every method for every number of tasks, on JAX for longer.
SIZES = (2, 8, 40) if IS_JAX else cases.NUM_TASKS
ENTRIES = [tuple(key.rsplit("/", 1)) for key in TABLE]
UNEVEN = np.array([kind.startswith("uneven") for kind, _ in cases.CASES])


def pcgrad_in_given_orders(gram):
    return project_conflicts(gram, cases.orders(gram.shape[-1]))


def db_mtl(gram):
    losses = cases.losses(gram.shape[-1])
    return aggregators.DBMTL(beta=0.0).weights(gram, losses)


def preferring(aggregator, **kwargs):
    preference = cases.preference(5).tolist()
    return aggregator(preference=preference, **kwargs).weights


# By name in the table, functions of the Gram matrices.
METHODS = {
    "mgda": aggregators.MGDA().weights,
    "mgda_l2": aggregators.MGDA("l2").weights,
    "pcgrad": pcgrad_in_given_orders,
    "cagrad_0.1": aggregators.CAGrad(0.1).weights,
    "cagrad_0.4": aggregators.CAGrad(0.4).weights,
    "cagrad_0.9": aggregators.CAGrad(0.9).weights,
    "imtlg": aggregators.IMTLG().weights,
    "nash_mtl": aggregators.NashMTL(max_norm=None).weights,
    "fair_grad_0.5": aggregators.FairGrad(0.5).weights,
    "fair_grad_1": aggregators.FairGrad(1.0).weights,
    "fair_grad_2": aggregators.FairGrad(2.0).weights,
    "fair_grad_10": aggregators.FairGrad(10.0).weights,
    "aligned_mtl_min": aggregators.AlignedMTL("min").weights,
    "aligned_mtl_median": aggregators.AlignedMTL("median").weights,
    "aligned_mtl_rmse": aggregators.AlignedMTL("rmse").weights,
    "aligned_mtl_preference": preferring(aggregators.AlignedMTL),
    "upgrad": aggregators.UPGrad().weights,
    "upgrad_preference": preferring(aggregators.UPGrad),
    "dual_proj": aggregators.DualProj().weights,
    "dual_proj_preference": preferring(aggregators.DualProj),
    "config": aggregators.ConFIG().weights,
    "config_preference": preferring(aggregators.ConFIG),
    "krum": aggregators.Krum(num_byzantine=0).weights,
    "krum_multi": aggregators.Krum(num_byzantine=1, num_selected=2).weights,
    "db_mtl": db_mtl,
    "projection": aggregators.Projection(0, smoothing=1.0).weights,
    "orthogonal": aggregators.Orthogonal(0).weights,
    "unweighted_cosine": aggregators.UnweightedCosine(0).weights,
    "weighted_cosine": aggregators.WeightedCosine(0).weights,
}


def of_sizes(sizes):
    """Every method; in the quick tier a few, with five or eight tasks."""
    entries = [(n, int(s)) for n, s in ENTRIES if n in METHODS]
    found = [(n, size) for n, size in entries if size in sizes]
    size = 5 if 5 in sizes else 8
    names = ("mgda", "pcgrad", "cagrad_0.4", "upgrad", "aligned_mtl_min")
    return slow_except(found, *[(name, size) for name in names])


def grams_of(rows, dtype):
    return (rows @ rows.transpose(0, 2, 1)).astype(dtype)


def errors_of(weights, name, size):
    """Relative errors of the updates, zero where the table has no value."""
    weights = ops.convert_to_numpy(weights)
    assert np.isfinite(weights).all()
    rows = cases.jacobians(size)
    expected = TABLE[f"{name}/{size}"]
    updates = np.einsum("kt,ktn->kn", expected, rows)
    gaps = np.einsum("kt,ktn->kn", weights - expected, rows)
    errors = np.linalg.norm(gaps, axis=1) / np.linalg.norm(updates, axis=1)
    errors = np.where(np.isnan(expected[:, 0]), 0, errors)
    even, uneven = errors[~UNEVEN].max(), errors[UNEVEN].max()
    print(f"\n{name}, {size} tasks: {even:.0e}, uneven {uneven:.0e}", end="")
    return errors


@pytest.mark.parametrize("name, size", of_sizes(SIZES))
def test_float32(name, size):
    run = testing.compiled(METHODS[name], jit_compile=False)
    weights = run(grams_of(cases.jacobians(size), "float32"))
    errors = errors_of(weights, name, size)
    assert errors[~UNEVEN].max() < 1e-4
    assert errors[UNEVEN].max() < 1e-2


@pytest.mark.slow
@pytest.mark.skipif(IS_JAX, reason="JAX computes in 32 bits")
@pytest.mark.parametrize("name, size", of_sizes((5, 40)))
def test_float64(name, size):
    run = testing.compiled(METHODS[name], jit_compile=False)
    weights = run(grams_of(cases.jacobians(size), "float64"))
    errors = errors_of(weights, name, size)
    assert errors[~UNEVEN].max() < 1e-11
    assert errors[UNEVEN].max() < 1e-9


def test_grad_vac():
    rows = cases.jacobians(2)
    aggregator = aggregators.GradVac(beta=0.5)
    aggregator.update(grams_of(cases.before(rows), "float32"))
    weights = aggregator.update(grams_of(rows, "float32"))
    errors = errors_of(weights, "grad_vac", 2)
    assert errors[~UNEVEN].max() < 1e-4
    assert errors[UNEVEN].max() < 1e-2


class TestTable:
    def test_is_what_the_script_makes(self):
        for size in (2, 5):
            for name, weights in make_golden.make(size).items():
                np.testing.assert_allclose(
                    TABLE[f"{name}/{size}"], weights, rtol=1e-8
                )

    def test_every_method_of_the_table_is_compared(self):
        assert {*METHODS, "grad_vac"} == set(make_golden.METHODS)
        for name in make_golden.METHODS:
            sizes = make_golden.ONLY.get(name, cases.NUM_TASKS)
            assert all((name, str(size)) in ENTRIES for size in sizes)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
