"""The methods that keras_mtl and TorchJD both have, set up alike.

TorchJD is imported only when one of its methods is asked for.
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_mtl import aggregators


class Pair(NamedTuple):
    """One method in both libraries.

    Attributes:
        ours: Makes the `Aggregator` for a number of tasks.
        theirs: Makes TorchJD's weighting of a Gram matrix, or `None` where it
            has none and only its aggregator can be called.
        aggregator: Makes TorchJD's aggregator.
    """

    ours: Callable[[int], aggregators.Aggregator]
    theirs: Callable[[Any, int], Any] | None
    aggregator: Callable[[Any, int], Any]


PAIRS: dict[str, Pair] = {
    "mean": Pair(
        lambda n: aggregators.Mean(),
        lambda jd, n: jd.MeanWeighting(),
        lambda jd, n: jd.Mean(),
    ),
    "pcgrad": Pair(
        lambda n: aggregators.PCGrad(seed=0),
        lambda jd, n: jd.PCGradWeighting(),
        lambda jd, n: jd.PCGrad(),
    ),
    "grad_vac": Pair(
        lambda n: aggregators.GradVac(beta=0.5, seed=0),
        lambda jd, n: jd.GradVacWeighting(beta=0.5),
        lambda jd, n: jd.GradVac(beta=0.5),
    ),
    "mgda": Pair(
        lambda n: aggregators.MGDA(),
        lambda jd, n: jd.MGDAWeighting(),
        lambda jd, n: jd.MGDA(),
    ),
    "cagrad": Pair(
        lambda n: aggregators.CAGrad(c=0.4),
        lambda jd, n: jd.CAGradWeighting(c=0.4),
        lambda jd, n: jd.CAGrad(c=0.4),
    ),
    "imtlg": Pair(
        lambda n: aggregators.IMTLG(),
        lambda jd, n: jd.IMTLGWeighting(),
        lambda jd, n: jd.IMTLG(),
    ),
    "nash_mtl": Pair(
        lambda n: aggregators.NashMTL(max_norm=1.0),
        None,
        lambda jd, n: jd.NashMTL(n_tasks=n, max_norm=1.0),
    ),
    "fair_grad": Pair(
        lambda n: aggregators.FairGrad(alpha=2.0),
        lambda jd, n: jd.FairGradWeighting(alpha=2.0),
        lambda jd, n: jd.FairGrad(alpha=2.0),
    ),
    "aligned_mtl": Pair(
        # TorchJD prefers all tasks by 1 / T.
        lambda n: aggregators.AlignedMTL(preference=[1 / n] * n),
        lambda jd, n: jd.AlignedMTLWeighting(),
        lambda jd, n: jd.AlignedMTL(),
    ),
    "upgrad": Pair(
        lambda n: aggregators.UPGrad(),
        lambda jd, n: jd.UPGradWeighting(),
        lambda jd, n: jd.UPGrad(),
    ),
    "dual_proj": Pair(
        lambda n: aggregators.DualProj(),
        lambda jd, n: jd.DualProjWeighting(),
        lambda jd, n: jd.DualProj(),
    ),
    "pcd": Pair(
        # Without a memory, so that each matrix is one of its own.
        lambda n: aggregators.PCD(main_task=0, beta=0.0),
        lambda jd, n: jd.PCDWeighting(beta=0.0),
        lambda jd, n: jd.PCD(beta=0.0),
    ),
    "con_fig": Pair(
        lambda n: aggregators.ConFIG(),
        None,
        lambda jd, n: jd.ConFIG(),
    ),
    "krum": Pair(
        lambda n: aggregators.Krum(num_byzantine=1),
        lambda jd, n: jd.KrumWeighting(n_byzantine=1),
        lambda jd, n: jd.Krum(n_byzantine=1),
    ),
    "trimmed_mean": Pair(
        lambda n: aggregators.TrimmedMean(num_trimmed=1),
        None,
        lambda jd, n: jd.TrimmedMean(trim_number=1),
    ),
}
# The least number of tasks for which a method is defined; with four, Krum has a
# tie at every point.
SMALLEST = {"krum": 5, "trimmed_mean": 3}


def jacobian(
    rng: np.random.Generator, num_tasks: int, spread: float = 0.0
) -> np.ndarray:
    """Random task gradients `[T, 2 T + 4]`, float64.

    Args:
        rng: Source of the numbers.
        num_tasks: Number of tasks T.
        spread: Decades between the shortest and the longest gradient.
    """
    rows = rng.standard_normal((num_tasks, 2 * num_tasks + 4))
    return rows * np.logspace(0, spread, num_tasks)[:, None]
