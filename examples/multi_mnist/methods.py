"""What `--method` can name, and the published settings of each."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

import keras_mtl
from examples import every_method
from examples.multi_mnist.model import REPRESENTATION
from examples.multi_mnist.model import TASKS
from examples.multi_mnist.model import build_lenet
from examples.multi_mnist.published import ARGUMENTS
from examples.multi_mnist.published import BATCH_REDUCTION
from examples.multi_mnist.published import SELF_AUXILIARY
from examples.multi_mnist.published import SMALL_BOTTLENECK
from examples.multi_mnist.published import TOWERS
from examples.multi_mnist.published import task_weight

SINGLE = {f"single_{task}": task for task in TASKS}
# Those of the paper, of its later version, and `projection`.
PUBLISHED = (
    *SINGLE,
    "sum",
    "uncertainty",
    "pcgrad",
    "mgda_ub",
    "projection",
    "self_auxiliary",
    "pta_f2",
)


def _merge(first: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    return (*first, *(name for name in names if name not in first))


# All that keras_mtl knows by name. `sum` is what it does without an aggregator,
# and `mgda_ub` is MGDA at the representation.
AGGREGATORS = _merge(
    ("pcgrad", "mgda_ub", "projection"),
    [n for n in every_method.names(keras_mtl.aggregators) if n != "sum"],
)
WEIGHTINGS = _merge(("uncertainty",), every_method.names(keras_mtl.weightings))
# The order gives combinations their names, and so result files.
AUXILIARIES = ("self_auxiliary", *TOWERS)
PARTS = (*SINGLE, "sum", *WEIGHTINGS, *AGGREGATORS, *AUXILIARIES)
# These are computed from the data before training; so many examples suffice.
FROM_DATA = "svdweights"
NUM_EXAMPLES = 5000


@dataclasses.dataclass(frozen=True)
class Method:
    """A parsed `--method`, as `"pcgrad+self_auxiliary"`."""

    name: str
    tasks: tuple[str, ...]
    aggregator: str | None
    weighting: str | None
    auxiliary: str | None

    @property
    def parts(self) -> list[str]:
        return self.name.split("+")


def parse(name: str) -> Method:
    """Reads a method's name: parts joined by `+`, in any order.

    Args:
        name: At most one of `single_left`, `single_right`, `sum`, `mgda_ub`
            and the aggregators, and optionally a weighting and one of
            `AUXILIARIES`.

    Returns:
        The `Method`, its name in the order of `PARTS`.
    """
    parts = name.split("+")
    unknown = [part for part in parts if part not in PARTS]
    if unknown or len(set(parts)) < len(parts):
        raise ValueError(
            f"`method` must join different parts of {list(PARTS)} with '+'. "
            f"Received: method={name!r}"
        )
    base = [p for p in parts if p not in (*WEIGHTINGS, *AUXILIARIES)]
    weightings = [p for p in parts if p in WEIGHTINGS]
    auxiliaries = [p for p in parts if p in AUXILIARIES]
    for rivals in (base, weightings, auxiliaries):
        if len(rivals) > 1:
            raise ValueError(
                f"`method` can hold only one of {rivals}: each does by itself "
                f"what the others do. Received: method={name!r}"
            )
    single = bool(base) and base[0] in SINGLE
    if single and weightings:
        raise ValueError(
            "`method` weights tasks against each other with "
            f"{weightings[0]!r}, but {base[0]!r} has one task. Received: "
            f"method={name!r}"
        )
    if base == ["sum"] and len(parts) > 1:
        # The sum is what the other parts do anyway: one name for one thing.
        parts.remove("sum")
    return Method(
        name="+".join(sorted(parts, key=PARTS.index)),
        tasks=(SINGLE[base[0]],) if single else TASKS,
        aggregator=base[0] if base and base[0] in AGGREGATORS else None,
        weighting=weightings[0] if weightings else None,
        auxiliary=auxiliaries[0] if auxiliaries else None,
    )


@functools.cache
def groups() -> dict[str, tuple[str, ...]]:
    """What the names of several methods stand for."""
    aggregators = _choose(keras_mtl.aggregators).makers
    weightings = _choose(keras_mtl.weightings).makers
    return {
        "single": tuple(SINGLE),
        "all": PUBLISHED,
        "all_aggregators": (
            "sum",
            *(n for n in AGGREGATORS if n in aggregators),
        ),
        "all_weightings": tuple(
            n for n in WEIGHTINGS if n in weightings or n == FROM_DATA
        ),
    }


def left_out(names: Sequence[str]) -> dict[str, str]:
    """By name, why `"all_aggregators"` and `"all_weightings"` leave it out."""
    modules = {
        "all_aggregators": keras_mtl.aggregators,
        "all_weightings": keras_mtl.weightings,
    }
    return {
        name: reason
        for group, module in modules.items()
        if group in names
        for name, reason in _choose(module).left_out.items()
        if name != FROM_DATA
    }


@functools.cache
def _choose(module: Any) -> every_method.Choice:
    return every_method.choose(module, TASKS, ARGUMENTS)


def expand(names: Sequence[str]) -> list[str]:
    """Replaces `"single"`, `"all"` and so on by what they stand for.

    Raises:
        ValueError: If a method is unknown, or not defined for two tasks.
    """
    known = groups()
    expanded = [part for name in names for part in known.get(name, (name,))]
    methods = list(dict.fromkeys(parse(name).name for name in expanded))
    refused = left_out(("all_aggregators", "all_weightings"))
    for method in methods:
        for part in method.split("+"):
            if part in refused:
                raise ValueError(f"{part!r} has no place here: {refused[part]}")
    return methods


def build_model(
    method: Method,
    *,
    size: str,
    source: str,
    learning_rate: Any,
    jit_compile: bool | str = "auto",
    examples: Any = None,
    **heads: Any,
) -> keras_mtl.MultiTaskModel:
    """Builds and compiles the network that a method trains.

    Args:
        method: What `parse` returned.
        size: `"small"`, `"medium"` or `"large"`.
        source: `"mnist"` or `"fashion_mnist"`, for the published settings.
        learning_rate: Of SGD with momentum 0.9: a float or a schedule.
        jit_compile: As for `keras.Model.compile`.
        examples: Images and a dict of labels, for `svdweights`, which are
            computed from them.
        **heads: `weight`, `temperature` and `bottleneck` of self-auxiliary
            heads, in place of the published ones.

    Returns:
        A compiled `keras_mtl.MultiTaskModel`.
    """
    model = build_lenet(size, method.tasks, keras_mtl.MultiTaskModel)
    if method.auxiliary == "self_auxiliary":
        published = dict(SELF_AUXILIARY[source])
        if size == "small":
            published["bottleneck"] = SMALL_BOTTLENECK[source]
        model = keras_mtl.add_self_auxiliaries(
            model, REPRESENTATION, **{**published, **heads}
        )
    elif method.auxiliary is not None:
        model = keras_mtl.add_auxiliary_towers(
            model, REPRESENTATION, **TOWERS[method.auxiliary]
        )
    weight = task_weight(method.parts, len(method.tasks))
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate, momentum=0.9),
        loss={
            task: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for task in method.tasks
        },
        loss_weights=dict.fromkeys(method.tasks, weight),
        metrics={task: ["accuracy"] for task in method.tasks},
        aggregator=_aggregator(method),
        weighting=_weighting(method, examples),
        jit_compile=jit_compile,
        **_at_representation(method, source),
    )
    return model


def _at_representation(method: Method, source: str) -> dict[str, Any]:
    """Arguments of `compile` with which MGDA is MGDA-UB, as published."""
    if method.aggregator != "mgda_ub":
        return {}
    return {
        "representation": REPRESENTATION,
        "representation_reduction": BATCH_REDUCTION[source],
        "scale_heads": True,
    }


def _aggregator(method: Method) -> Any:
    if method.aggregator is None:
        return None
    name = "mgda" if method.aggregator == "mgda_ub" else method.aggregator
    return _make(keras_mtl.aggregators, name)


def _weighting(method: Method, examples: Any) -> Any:
    if method.weighting is None:
        return None
    if method.weighting == FROM_DATA and examples is not None:
        return _svd_weights(*examples)
    return _make(keras_mtl.weightings, method.weighting)


def _make(module: Any, name: str) -> Any:
    return every_method.make(module, name, ARGUMENTS.get(name, {}))


def _svd_weights(images: np.ndarray, labels: dict[str, np.ndarray]) -> Any:
    """From the first examples: pixels, and classes as columns of 0 and 1."""
    one_hot = {
        task: np.eye(10)[classes[:NUM_EXAMPLES]]
        for task, classes in labels.items()
    }
    return keras_mtl.weightings.SVDWeights.from_data(
        images[:NUM_EXAMPLES] / 255, one_hot, rank=9, center=True
    )
