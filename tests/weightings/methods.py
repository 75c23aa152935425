"""What every weighting needs and returns: the tests hold it to that.

`docs/methods.md` is made of it by `docs.make_methods_table`.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_mtl import weightings
from keras_mtl.weightings import Weighting

# What the weights add up to. OPEN: not to a constant.
TASKS = "T"
ONE = "one"
SHARE = "1 / T, of equal preferences"
ROOT = "sqrt(T), of equal preferences"
OPEN = "no constant"
GIVEN = "as given"

NAMES = ("task_0", "task_1", "task_2", "task_3", "task_4")


class Entry(NamedTuple):
    """A weighting, and what is not to be read off its class.

    Attributes:
        make: Makes the weighting for tasks called `NAMES`.
        total: What its weights add up to.
        paper: Link to the paper; empty for what needs none.
        published: Arguments whose defaults are those of the paper.
        negative: Whether weights can be below zero.
    """

    make: Callable[[], Weighting]
    total: str = OPEN
    paper: str = ""
    published: tuple[str, ...] = ()
    negative: bool = False


def _arxiv(number: str) -> str:
    return f"https://arxiv.org/abs/{number}"


# By what a user would write.
WEIGHTINGS: dict[str, Entry] = {
    "Uncertainty()": Entry(
        weightings.Uncertainty,
        paper=_arxiv("1705.07115"),
        published=("parameterization",),
    ),
    "UWSO()": Entry(weightings.UWSO, ONE, _arxiv("2408.07985")),
    "IMTLL()": Entry(
        weightings.IMTLL,
        paper="https://openreview.net/forum?id=IMPnRXEWpvr",
    ),
    "DynamicWeightAverage()": Entry(
        weightings.DynamicWeightAverage,
        TASKS,
        _arxiv("1803.10704"),
        ("temperature", "window"),
    ),
    "RandomLossWeighting()": Entry(
        lambda: weightings.RandomLossWeighting(seed=0),
        ONE,
        _arxiv("2111.10603"),
        ("distribution",),
    ),
    "GradNorm()": Entry(
        weightings.GradNorm,
        TASKS,
        _arxiv("1711.02257"),
        ("alpha", "learning_rate"),
    ),
    "OLAUX(main_task)": Entry(
        lambda: weightings.OLAUX(main_task=0),
        paper="https://papers.nips.cc/paper/2019/hash/0e900ad84f63618452210ab8baae0218-Abstract.html",
        published=("horizon",),
    ),
    "FAMO()": Entry(
        weightings.FAMO,
        ONE,
        _arxiv("2306.03792"),
        ("learning_rate", "gamma", "min_losses"),
    ),
    "GeometricMean()": Entry(
        weightings.GeometricMean, paper=_arxiv("1904.08492")
    ),
    "ScaleInvariant()": Entry(
        weightings.ScaleInvariant, paper=_arxiv("2202.01017")
    ),
    "Tchebycheff()": Entry(weightings.Tchebycheff, SHARE, _arxiv("2402.19078")),
    "STCH()": Entry(weightings.STCH, SHARE, _arxiv("2402.19078")),
    "PBI()": Entry(
        weightings.PBI,
        ROOT,
        "https://doi.org/10.1109/TEVC.2007.892759",
        ("theta",),
        negative=True,
    ),
    "COSMOS()": Entry(
        weightings.COSMOS,
        paper=_arxiv("2103.13392"),
        published=("penalty",),
        negative=True,
    ),
    "Schedule(schedules)": Entry(
        lambda: weightings.Schedule({"task_0": 0.5}), GIVEN
    ),
    "SVDWeights(task_weights)": Entry(
        lambda: weightings.SVDWeights({"task_0": 0.5}),
        GIVEN,
        _arxiv("2005.00944"),
    ),
}


def built(entry: Entry) -> Weighting:
    weighting = entry.make()
    weighting.build(NAMES)
    return weighting


def looks_at(entry: Entry) -> str:
    weighting = entry.make()
    if not weighting.reads:
        return "nothing"
    seen = ["losses"]
    if "losses_after" in weighting.observes:
        seen.append("losses after the step")
    if "gradient_norms" in weighting.observes:
        seen.append("gradient norms")
    if "gradient_gram" in weighting.observes:
        seen.append("gradients' inner products")
    return ", ".join(seen)


def remembers(entry: Entry) -> str:
    """All that it makes for T tasks."""
    variables = built(entry).variables
    if not variables:
        return "nothing"
    if any(v.trainable for v in variables):
        return "T, trained"
    if len(entry.make().variables) == len(variables):
        return "a seed"
    count, rest = divmod(
        sum(int(np.prod(v.shape)) for v in variables), len(NAMES)
    )
    return {(0, 1): "the step", (1, 0): "T"}.get((count, rest), f"{count} T")


def costs(entry: Entry) -> str:
    observes = entry.make().observes
    if "losses_after" in observes:
        return "a forward pass"
    if "gradient_norms" in observes or "gradient_gram" in observes:
        return "T backward passes"
    return "none"


def defaults(entry: Entry) -> str:
    """The numbers that it has if one gives none."""
    found = []
    for parameter in inspect.signature(type(entry.make())).parameters.values():
        if isinstance(parameter.default, (int, float, str)):
            if parameter.default is not parameter.empty:
                ours = parameter.name not in entry.published
                text = f"`{parameter.name}={parameter.default!r}`"
                found.append(text + (" (ours)" if ours else ""))
    return ", ".join(found) or "-"
