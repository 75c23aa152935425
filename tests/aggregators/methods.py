"""What every aggregator promises: the tests hold it to that.

`docs/methods.md` is made of it by `make_methods_table`.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras_mtl import aggregators
from keras_mtl.aggregators import Aggregator

# How far a promise goes. A test sees to it that it goes no further: what holds
# on all of the zoo is YES.
YES = "yes"
NO = "no"
TWO_TASKS = "two tasks"
INDEPENDENT = "independent gradients"
UNTIED = "but for ties"
ROUNDED = "but for rounding where gradients cancel"
AUXILIARIES = "of auxiliaries"

NEITHER = "nothing"
GRAM = "Gram"
GRAM_AND_LOSSES = "Gram, losses"
ROWS = "rows"
# Of degenerate gradients: chance, or what the other gradients are.
DEPENDS = "depends"
# What a zero gradient does to the direction of the update.
IGNORED = "ignored"
STOPS = "stops all"
COUNTS = "counts"
# How often a gradient that two tasks have counts in that direction.
ONCE = "once"
TWICE = "twice"
# What is left along the line of two opposed gradients, one longer.
NOTHING = "nothing"
SOMETHING = "something"
# Matrices of the zoo on which nothing is fair and nothing agreed on: gradients
# cancel there, and rounding decides the direction.
NO_BARGAIN = (
    "opposed",
    "nearly_opposed",
    "nearly_dependent",
    "few_coordinates",
    "one_line",
    "surrounding",
    "rank_deficient_2",
    "rank_deficient_3",
)


class Entry(NamedTuple):
    """A method and its promises.

    Attributes:
        make: From a number of tasks to the aggregator.
        weights: The convention of its weights.
        work: What it does beside the inner products and the weighted sum.
        paper: Link to the paper; empty for what needs none.
        non_conflicting: Whether the update opposes no task gradient.
        permutation: Whether the order of the tasks changes nothing.
        scale: Whether all gradients times s give the update times s.
        stationary: Whether there is no update where a combination of all
            gradients with positive weights vanishes.
        zero: What a zero gradient does.
        duplicate: How often a gradient that two tasks have counts.
        opposed: What is left of two opposed gradients, one longer.
        looks_at: Nothing, inner products, losses too, or coordinates.
        fewest: Fewest tasks for which it is defined, and not trivial.
        has_weights: Whether it can do with a Gram matrix outside of a model.
        note: Why a promise is not made, or of what it depends.
    """

    make: Callable[[int], Aggregator]
    weights: str
    work: str
    paper: str = ""
    non_conflicting: str = NO
    permutation: str = YES
    scale: str = YES
    stationary: str = NO
    zero: str = IGNORED
    duplicate: str = TWICE
    opposed: str = SOMETHING
    looks_at: str = GRAM
    fewest: int = 2
    has_weights: bool = True
    note: str = ""


def _arxiv(number: str) -> str:
    return f"https://arxiv.org/abs/{number}"


# By what a user would write.
METHODS: dict[str, Entry] = {
    "Sum()": Entry(
        lambda _: aggregators.Sum(), "ones", "none", looks_at=NEITHER
    ),
    "Mean()": Entry(
        lambda _: aggregators.Mean(), "1 / T", "none", looks_at=NEITHER
    ),
    "Constant(weights)": Entry(
        lambda size: aggregators.Constant([t + 1.0 for t in range(size)]),
        "as given",
        "none",
        permutation=NO,
        looks_at=NEITHER,
    ),
    "Random()": Entry(
        lambda _: aggregators.Random(seed=0),
        "sum to one",
        "none",
        _arxiv("2111.10603"),
        permutation=NO,
        zero=COUNTS,
        looks_at=NEITHER,
    ),
    "PCGrad()": Entry(
        lambda _: aggregators.PCGrad(seed=0),
        "at least one",
        "T - 1 turns",
        _arxiv("2001.06782"),
        non_conflicting=TWO_TASKS,
        permutation=TWO_TASKS,
        stationary=TWO_TASKS,
        opposed=NOTHING,
        note="Of more than two tasks the random orders decide. The authors' "
        "code lets a task visit itself, too: `visit_self=True`.",
    ),
    "GradVac(beta=0.5)": Entry(
        lambda _: aggregators.GradVac(beta=0.5, seed=0),
        "adds up",
        "T - 1 turns",
        _arxiv("2010.05874"),
        permutation=TWO_TASKS,
        opposed=NOTHING,
        note="The first step is that of PCGrad. Of more than two tasks the "
        "random orders decide.",
    ),
    "MGDA()": Entry(
        lambda _: aggregators.MGDA(),
        "sum to one",
        "active set, T turns or a few more",
        _arxiv("1810.04650"),
        non_conflicting=YES,
        stationary=YES,
        zero=STOPS,
        duplicate=ONCE,
        opposed=NOTHING,
    ),
    "CAGrad(c=0.4)": Entry(
        lambda _: aggregators.CAGrad(0.4),
        "at least 1 / T",
        "active set, and one unknown length",
        _arxiv("2110.14048"),
        note="From c = 1 on no loss rises.",
    ),
    "CAGrad(c=1)": Entry(
        lambda _: aggregators.CAGrad(1.0),
        "at least 1 / T",
        "active set, and one unknown length",
        _arxiv("2110.14048"),
        non_conflicting=YES,
        scale=ROUNDED,
        stationary=YES,
        opposed=NOTHING,
    ),
    "IMTLG()": Entry(
        lambda _: aggregators.IMTLG(),
        "sum to one",
        "eigenvectors",
        "https://openreview.net/forum?id=IMPnRXEWpvr",
        stationary=TWO_TASKS,
        duplicate=ONCE,
        opposed=NOTHING,
        note="All losses rise alike where the weights would sum to less than "
        "zero.",
    ),
    "NashMTL()": Entry(
        lambda _: aggregators.NashMTL(),
        "positive",
        "Newton's method",
        _arxiv("2202.01017"),
        non_conflicting=YES,
        permutation=ROUNDED,
        scale=NO,
        stationary=YES,
        opposed=NOTHING,
        note="Scale changes nothing at all: the update is as long as "
        "`max_norm` says, at most sqrt(T).",
    ),
    "FairGrad()": Entry(
        lambda _: aggregators.FairGrad(),
        "positive",
        "Newton's method",
        _arxiv("2402.15638"),
        non_conflicting=YES,
        permutation=ROUNDED,
        scale=NO,
        stationary=YES,
        opposed=NOTHING,
        note="The length of the update is the scale to the power "
        "(1 - alpha) / (1 + alpha).",
    ),
    "AlignedMTL()": Entry(
        lambda _: aggregators.AlignedMTL(),
        "of any sign",
        "eigenvectors",
        _arxiv("2305.19000"),
        note="Of an even number of eigenvalues the authors' code takes the "
        'lower middle one as the median: `scale_mode="lower_median"`. TorchJD '
        "prefers all tasks by 1 / T, the authors and this by 1.",
    ),
    "UPGrad()": Entry(
        lambda _: aggregators.UPGrad(),
        "at least 1 / T",
        "T active sets at once",
        _arxiv("2406.16232"),
        non_conflicting=YES,
        stationary=YES,
        opposed=NOTHING,
    ),
    "DualProj()": Entry(
        lambda _: aggregators.DualProj(),
        "at least 1 / T",
        "active set, T turns or a few more",
        _arxiv("1706.08840"),
        non_conflicting=YES,
        stationary=YES,
        opposed=NOTHING,
    ),
    "ConFIG()": Entry(
        lambda _: aggregators.ConFIG(),
        "of any sign",
        "eigenvectors",
        _arxiv("2408.11104"),
        non_conflicting=INDEPENDENT,
        stationary=TWO_TASKS,
        duplicate=ONCE,
        opposed=NOTHING,
    ),
    "Krum(num_byzantine=0)": Entry(
        lambda _: aggregators.Krum(num_byzantine=0),
        "sum to one",
        "distances, and the smallest of them",
        _arxiv("1703.02757"),
        permutation=UNTIED,
        scale=UNTIED,
        zero=DEPENDS,
        duplicate=DEPENDS,
        opposed=DEPENDS,
        fewest=4,
        note="Of equal scores the first wins.",
    ),
    "CRMOGM(MGDA())": Entry(
        lambda _: aggregators.CRMOGM(aggregators.MGDA()),
        "of the other method",
        "that of the other method",
        "https://openreview.net/forum?id=ScwfQ7hdwyP",
        permutation=ROUNDED,
        zero=STOPS,
        duplicate=ONCE,
        opposed=NOTHING,
        note="The last three columns are of the first step, which is MGDA's. "
        "Dependent gradients have many weights of least norm.",
    ),
    "Averaged(MGDA())": Entry(
        lambda _: aggregators.Averaged(aggregators.MGDA()),
        "of the other method",
        "an average of all T x n entries, and that of the other method",
        zero=STOPS,
        duplicate=ONCE,
        opposed=NOTHING,
        note="What the other method promises holds for the averages. The last "
        "three columns are of the first step, which is MGDA's.",
    ),
    "Projection(main_task)": Entry(
        lambda _: aggregators.Projection(0),
        "one of main, and a share of each other",
        "none",
        permutation=AUXILIARIES,
        note="The main task's loss does not rise without smoothing.",
    ),
    "Orthogonal(main_task)": Entry(
        lambda _: aggregators.Orthogonal(0),
        "one of main, and a share of each other",
        "none",
        permutation=AUXILIARIES,
    ),
    "UnweightedCosine(main_task)": Entry(
        lambda _: aggregators.UnweightedCosine(0),
        "zero or one",
        "none",
        _arxiv("1812.02224"),
        permutation=AUXILIARIES,
    ),
    "WeightedCosine(main_task)": Entry(
        lambda _: aggregators.WeightedCosine(0),
        "from zero to one",
        "none",
        _arxiv("1812.02224"),
        permutation=AUXILIARIES,
    ),
    "PCD(main_task)": Entry(
        lambda _: aggregators.PCD(0),
        "of main and others, none negative",
        "active set, T turns or a few more",
        _arxiv("2606.29521"),
        permutation=AUXILIARIES,
        scale=NO,
        zero=DEPENDS,
        duplicate=ONCE,
        note="All auxiliary losses fall where they can together. 1e-8 is added "
        "to mean squares. Where the main gradient is zero the update is.",
    ),
    "GradDrop()": Entry(
        lambda _: aggregators.GradDrop(seed=0),
        "of each coordinate, zero or one",
        "all T x n entries",
        _arxiv("2010.06808"),
        looks_at=ROWS,
        note="The authors' layer keeps the norm of the sum: "
        "`keep_gradnorm_constant=True`.",
    ),
    "TrimmedMean()": Entry(
        lambda _: aggregators.TrimmedMean(),
        "of each coordinate, sum to one",
        "minima and maxima over all T x n entries",
        _arxiv("1803.01498"),
        looks_at=ROWS,
        zero=COUNTS,
        fewest=3,
    ),
    "MoCo()": Entry(
        lambda _: aggregators.MoCo(),
        "sum to one",
        "an average of all T x n entries",
        _arxiv("2210.12624"),
        scale=NO,
        note="The step size of the weights has a scale.",
    ),
    "MoDo()": Entry(
        lambda _: aggregators.MoDo(),
        "sum to one",
        "2 T x 2 T inner products",
        _arxiv("2305.20057"),
        scale=NO,
        note="The step size of the weights has a scale. `rho=0.0` is ours; the "
        "authors have 0.1.",
    ),
    "SDMGrad()": Entry(
        lambda _: aggregators.SDMGrad(),
        "sum to one",
        "2 T x 2 T inner products, 20 turns",
        _arxiv("2305.18409"),
        permutation=ROUNDED,
        scale=ROUNDED,
        note="From three tasks on the published `learning_rate=10.0` is "
        "chaotic; 0.1 is not.",
    ),
    "EPO()": Entry(
        lambda _: aggregators.EPO(),
        "sum to one",
        "a linear programme, 2 T turns or so",
        "https://proceedings.mlr.press/v119/mahapatra20a.html",
        non_conflicting=YES,
        permutation=UNTIED,
        stationary=YES,
        duplicate=DEPENDS,
        opposed=NOTHING,
        looks_at=GRAM_AND_LOSSES,
        note="All is of losses on the ray of the preference. Elsewhere losses "
        "that are ahead may rise. Of equally good corners of its programme one "
        "is taken.",
    ),
    "DBMTL()": Entry(
        lambda _: aggregators.DBMTL(),
        "all gradients as long as the longest",
        "an average of all T x n entries",
        _arxiv("2308.12029"),
        looks_at=GRAM_AND_LOSSES,
        opposed=NOTHING,
    ),
    "ExcessMTL()": Entry(
        lambda _: aggregators.ExcessMTL(),
        "sum to one",
        "2 T x 2 T inner products",
        _arxiv("2402.02009"),
        looks_at=ROWS,
        scale=NO,
        has_weights=False,
        note="1e-7 is added to sums of squares.",
    ),
}
