"""Random small trainings: what a case is, and how Hypothesis draws one.

A case is nothing but plain values, so that a failing one can be pasted into
`@example(...)` and that a file of results can hold it.
"""

import dataclasses
from typing import Any

import keras
from hypothesis import strategies as st

from keras_mtl import aggregators
from keras_mtl import weightings

NAMES = "abcd"
REGRESSIONS = ("mse", "mae", "huber", "log_cosh")
LOSSES = (*REGRESSIONS, "bce", "sparse_cce", "cce", "kld", "poisson")
# Losses that two tasks of one output can have: their labels are alike.
PAIRS = (("mse", "mae"), ("mse", "log_cosh"), ("huber", "mae"))
ROWS = 6

# By input: what may stand between its first layer and the shared one. All
# keep the rank and the last axis.
ANYWHERE = ("dense", "l2", "layer_norm", "dropout", "activity", "penalty")
SERIES = ("lstm", "gru", "rnn")
TRUNKS = {
    "vector": (*ANYWHERE, "twice", "batch_norm", "nested"),
    "image": (*ANYWHERE, "twice", "batch_norm", "conv"),
    "words": (*ANYWHERE, *SERIES, "twice", "batch_norm", "conv"),
    "looked_up_twice": (*ANYWHERE, "twice"),
    "masked_words": ("dense", "l2", "layer_norm", "dropout", *SERIES),
    "series": (*ANYWHERE, *SERIES, "conv"),
}

# By a name in the results: how to make it, given the number of tasks.
AGGREGATORS = {
    "sum": lambda **kw: aggregators.Sum(**kw),
    "mean": lambda **kw: aggregators.Mean(**kw),
    "random": lambda **kw: aggregators.Random(seed=3, **kw),
    "pcgrad": lambda **kw: aggregators.PCGrad(seed=3, **kw),
    "grad_vac": lambda **kw: aggregators.GradVac(0.5, seed=3, **kw),
    "mgda": lambda **kw: aggregators.MGDA(**kw),
    "cagrad": lambda **kw: aggregators.CAGrad(0.4, **kw),
    "imtlg": lambda **kw: aggregators.IMTLG(**kw),
    "nash_mtl": lambda **kw: aggregators.NashMTL(**kw),
    "fair_grad": lambda **kw: aggregators.FairGrad(2.0, **kw),
    "aligned_mtl": lambda **kw: aggregators.AlignedMTL(**kw),
    "aligned_mtl_rmse": lambda **kw: aggregators.AlignedMTL("rmse", **kw),
    "upgrad": lambda **kw: aggregators.UPGrad(**kw),
    "dual_proj": lambda **kw: aggregators.DualProj(**kw),
    "config": lambda **kw: aggregators.ConFIG(**kw),
    "krum": lambda **kw: aggregators.Krum(0, **kw),
    "cr_mogm": lambda **kw: aggregators.CRMOGM(aggregators.MGDA(**kw)),
    "projection": lambda **kw: aggregators.Projection(0, smoothing=1.0, **kw),
    "projection_smoothed": lambda **kw: aggregators.Projection(
        0, smoothing=0.3, **kw
    ),
    "projection_all": lambda **kw: aggregators.Projection(
        0, smoothing=0.3, scope="all", granularity="model", **kw
    ),
    "orthogonal": lambda **kw: aggregators.Orthogonal(1, smoothing=1.0, **kw),
    "unweighted_cosine": lambda **kw: aggregators.UnweightedCosine(
        0, smoothing=1.0, **kw
    ),
    "weighted_cosine": lambda **kw: aggregators.WeightedCosine(
        0, smoothing=0.5, initial_reference="first_gradient", **kw
    ),
    "pcd": lambda **kw: aggregators.PCD(0, **kw),
    "pcd_wide": lambda **kw: aggregators.PCD(0, tau=0.5, beta=0.5, **kw),
    "grad_drop": lambda: aggregators.GradDrop(seed=3),
    "trimmed_mean": lambda: aggregators.TrimmedMean(),
    "moco": lambda **kw: aggregators.MoCo(**kw),
    "modo": lambda **kw: aggregators.MoDo(**kw),
    "sdm_grad": lambda **kw: aggregators.SDMGrad(**kw),
    "db_mtl": lambda **kw: aggregators.DBMTL(**kw),
    "db_mtl_now": lambda **kw: aggregators.DBMTL(beta=0.0, **kw),
    "excess_mtl": lambda **kw: aggregators.ExcessMTL(**kw),
}
FEWEST = {"krum": 4, "trimmed_mean": 3}
WHOLE_MODEL = ("grad_drop", "trimmed_mean", "projection_all")
# Remember gradients, so they know no representation.
TRACKING = (
    "projection_smoothed",
    "projection_all",
    "weighted_cosine",
    "moco",
    "modo",
    "sdm_grad",
    "db_mtl",
    "excess_mtl",
)
WEIGHTINGS = {
    "uncertainty": lambda names: weightings.Uncertainty(),
    "uncertainty_own": lambda names: weightings.Uncertainty(
        regression_tasks=names[:1], learning_rate=0.05
    ),
    "imtll": lambda names: weightings.IMTLL(),
    "dwa": lambda names: weightings.DynamicWeightAverage(window=1),
    "random": lambda names: weightings.RandomLossWeighting(seed=5),
    "grad_norm": lambda names: weightings.GradNorm(),
    "olaux": lambda names: weightings.OLAUX(0, horizon=2),
    "famo": lambda names: weightings.FAMO(),
    "geometric_mean": lambda names: weightings.GeometricMean(),
    "scale_invariant": lambda names: weightings.ScaleInvariant(),
    "tchebycheff": lambda names: weightings.Tchebycheff(),
    "stch": lambda names: weightings.STCH(),
    "pbi": lambda names: weightings.PBI(),
    "cosmos": lambda names: weightings.COSMOS(),
    "uwso": lambda names: weightings.UWSO(),
    "svd_weights": lambda names: weightings.SVDWeights({names[0]: 0.5}),
}
BY_NAME = ("uncertainty_own", "svd_weights")
# Compiling takes three to ten times as long as all else in a case.
MODES = ["eager"] * 9 + ["graph", "graph", "xla"]
PRECISIONS = ("float32", "float64", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class Output:
    """One output of a model and what is asked of it.

    Attributes:
        losses: None, one or two.
        units: Size of the last axis.
        loss_weights: One a loss.
        weighted: Whether its examples have weights.
        class_weight: Whether its classes have.
        missing: Share of labels that are missing.
        absent: Whether the labels of the second step are missing altogether.
    """

    losses: tuple[str, ...]
    units: int
    loss_weights: tuple[float, ...]
    weighted: bool = False
    class_weight: bool = False
    missing: float = 0.0
    absent: bool = False


@dataclasses.dataclass(frozen=True)
class Case:
    """One training of a few steps. The fields say what Keras calls them."""

    seed: int
    inputs: str
    trunk: tuple[str, ...]
    outputs: tuple[Output, ...]
    aggregator: str | None = None
    granularity: str = "model"
    weighting: str | None = None
    representation: bool = False
    # Whether the first output has a label for each time step.
    steps_have_labels: bool = False
    # Whether all outputs but the first share one more layer.
    branch: bool = False
    structure: str = "dict"
    subclassed: bool = False
    auxiliaries: str = "none"
    precision: str = "float32"
    mode: str = "eager"
    fit: bool = False
    steps: int = 1
    steps_per_execution: int = 1
    momentum: float = 0.0
    global_clipnorm: float | None = None
    loss_scale_factor: float | None = None

    @property
    def named_outputs(self) -> list[tuple[str, Output]]:
        # Most cases have fewer outputs than there are names.
        return list(zip(NAMES, self.outputs, strict=False))

    @property
    def has_missing_labels(self) -> bool:
        return any(output.missing or output.absent for output in self.outputs)

    @property
    def num_tasks(self) -> int:
        count = sum(len(output.losses) for output in self.outputs)
        return 2 * count if self.auxiliaries == "as_tasks" else count


@st.composite
def outputs_of(draw: Any, single: bool) -> tuple[Output, ...]:
    """The outputs of a model with two tasks or more."""
    missing = draw(st.booleans())
    if single:
        return (_output(draw, draw(st.sampled_from(PAIRS)), missing),)
    found = [
        _output(draw, (draw(st.sampled_from(LOSSES)),), missing)
        for _ in range(draw(st.integers(2, 4)))
    ]
    if draw(st.integers(0, 5)) == 0:
        found[-1] = _output(draw, draw(st.sampled_from(PAIRS)), missing)
    elif len(found) > 2 and draw(st.integers(0, 3)) == 0:
        found[-1] = Output((), 1, ())
    return tuple(found)


def _output(draw: Any, losses: tuple[str, ...], missing: bool) -> Output:
    weights = draw(st.sampled_from([1.0, 1.0, 0.3, 2.0, 0.0]))
    # Few shapes: JAX compiles every operation for each.
    free = losses[0] in (*REGRESSIONS, "bce")
    units = draw(st.sampled_from([1, 3])) if free else 3
    classes = losses == ("sparse_cce",) or (losses == ("bce",) and units == 1)
    return Output(
        losses,
        units,
        (weights, 0.7)[: len(losses)],
        weighted=draw(st.integers(0, 2)) == 0,
        class_weight=classes and draw(st.booleans()),
        missing=draw(st.sampled_from([0.0, 0.3])) if missing else 0.0,
        absent=missing and draw(st.integers(0, 3)) == 0,
    )


@st.composite
def cases(draw: Any) -> Case:
    """Draws a case in which what is asked for goes together."""
    structure = draw(st.sampled_from(["dict", "dict", "list", "single"]))
    outputs = draw(outputs_of(structure == "single"))
    # Two tasks have to be left where weights are zero.
    if sum(sum(o.loss_weights) > 0 for o in outputs) < 2:
        outputs = tuple(
            dataclasses.replace(o, loss_weights=(0.5, 0.7)[: len(o.losses)])
            for o in outputs
        )
    inputs = draw(st.sampled_from(sorted(TRUNKS)))
    trunk = draw(
        st.lists(st.sampled_from(TRUNKS[inputs]), min_size=0, max_size=2)
    )
    by_step = inputs in ("words", "masked_words", "series")
    steps_have_labels = (
        by_step and structure != "single" and draw(st.booleans())
    )
    if steps_have_labels:
        outputs = (_of_steps(draw, outputs[0]), *outputs[1:])
    subclassed = structure != "list" and draw(st.integers(0, 3)) == 0
    case = Case(
        seed=draw(st.integers(0, 10**6)),
        inputs=inputs,
        trunk=tuple(trunk),
        outputs=outputs,
        structure=structure,
        steps_have_labels=steps_have_labels,
        subclassed=subclassed,
        branch=draw(st.integers(0, 2)) == 0 and structure != "single",
        mode=draw(st.sampled_from(MODES)),
        fit=draw(st.integers(0, 3)) == 0,
        precision=draw(st.sampled_from([*["float32"] * 4, *PRECISIONS[1:]])),
        steps=draw(st.integers(1, 4)),
        momentum=draw(st.sampled_from([0.0, 0.0, 0.9])),
        global_clipnorm=draw(st.sampled_from([None, None, None, 0.05])),
    )
    return _with_method(draw, _with_auxiliaries(draw, _settled(draw, case)))


def with_few_shapes(case: Case) -> Case:
    """The same task on the smallest model: JAX compiles each new shape."""
    return dataclasses.replace(
        case,
        inputs="vector",
        trunk=(),
        steps_have_labels=False,
        precision="float32",
        mode="eager",
        steps=min(case.steps, 2),
        steps_per_execution=1,
    )


def _of_steps(draw: Any, output: Output) -> Output:
    """Labels for each time step have weights for each example only."""
    loss = draw(st.sampled_from(["sparse_cce", "mse"]))
    return dataclasses.replace(
        output,
        losses=(loss,),
        units=3,
        loss_weights=output.loss_weights[:1],
        class_weight=False,
    )


def _settled(draw: Any, case: Case) -> Case:
    """Leaves out what one way of running does not know."""
    changes = {}
    if keras.backend.backend() == "jax" and case.mode == "graph":
        changes["mode"] = "xla"
    elif case.mode == "xla":
        # Loops take XLA ten seconds.
        kept = [kind for kind in case.trunk if kind not in SERIES]
        changes["trunk"] = tuple(kept)
    if case.fit and case.mode != "eager" and case.steps > 1:
        changes["steps_per_execution"] = draw(st.integers(1, 2))
    # Stock Keras cannot divide the gradients of a table on TensorFlow, and
    # takes the norm of rows that are looked up twice before they are summed.
    has_table = case.inputs in ("words", "masked_words", "looked_up_twice")
    is_stock = not (case.aggregator or case.weighting)
    divides = not (is_stock and has_table)
    if has_table and case.aggregator is None:
        changes["global_clipnorm"] = None
    if case.precision == "float32" and draw(st.integers(0, 4)) == 0 and divides:
        changes["loss_scale_factor"] = 64.0
    return dataclasses.replace(case, **changes)


def _with_auxiliaries(draw: Any, case: Case) -> Case:
    fits = (
        case.structure == "dict"
        and not case.subclassed
        and not case.steps_have_labels
        and all(len(output.losses) == 1 for output in case.outputs)
    )
    if not fits or draw(st.integers(0, 2)):
        return case
    kind = draw(st.sampled_from(["added", "as_tasks"]))
    return dataclasses.replace(case, auxiliaries=kind)


def _with_method(draw: Any, case: Case) -> Case:
    changes = {}
    which = draw(st.sampled_from(["aggregator"] * 3 + ["weighting", "both"]))
    if which != "weighting":
        known = [
            name
            for name in AGGREGATORS
            if case.num_tasks >= FEWEST.get(name, 2)
        ]
        name = changes["aggregator"] = draw(st.sampled_from(known))
        if name not in WHOLE_MODEL:
            kinds = ["model", "layer", "variable"]
            changes["granularity"] = draw(st.sampled_from(kinds))
        # Two losses of one output share its head, above the representation.
        is_cut = all(len(output.losses) < 2 for output in case.outputs)
        can_cut = is_cut and name not in TRACKING
        if can_cut and draw(st.integers(0, 3)) == 0:
            changes.update(
                representation=True, branch=False, granularity="model"
            )
    if which != "aggregator":
        known = sorted(WEIGHTINGS)
        if case.structure == "single":
            # Its tasks have the names of their losses.
            known = [name for name in known if name not in BY_NAME]
        changes["weighting"] = draw(st.sampled_from(known))
    return dataclasses.replace(case, **changes)
