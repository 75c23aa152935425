"""What `--method` can name, and the published settings of each."""

import dataclasses
from collections.abc import Sequence

import keras

import keras_mtl
from examples.multi_mnist.model import REPRESENTATION
from examples.multi_mnist.model import TASKS
from examples.multi_mnist.model import build_lenet

SINGLE = {f"single_{task}": task for task in TASKS}
AGGREGATORS = ("pcgrad", "mgda_ub", "projection")
PARTS = (*SINGLE, "sum", "uncertainty", *AGGREGATORS, "self_auxiliary")

# Weight and temperature of the self-auxiliary heads, tuned by their authors.
SELF_AUXILIARY = {
    "mnist": {"weight": 2.0, "temperature": 20.0},
    "fashion_mnist": {"weight": 3.0, "temperature": 30.0},
}
# In the small network the one-layer head would equal the main one.
SMALL_BOTTLENECK = {"mnist": 8, "fashion_mnist": 9}


GROUPS = {"single": tuple(SINGLE), "all": PARTS}


@dataclasses.dataclass(frozen=True)
class Method:
    """A parsed `--method`, as `"pcgrad+self_auxiliary"`."""

    name: str
    tasks: tuple[str, ...]
    aggregator: str | None
    uncertainty: bool
    self_auxiliary: bool


def parse(name: str) -> Method:
    """Reads a method's name: parts joined by `+`, in any order.

    Args:
        name: At most one of `single_left`, `single_right`, `sum`, `pcgrad`,
            `mgda_ub` and `projection`, and optionally `uncertainty` and
            `self_auxiliary`.

    Returns:
        The `Method`, its name in the order of the documentation.
    """
    parts = name.split("+")
    unknown = [part for part in parts if part not in PARTS]
    if unknown or len(set(parts)) < len(parts):
        raise ValueError(
            f"`method` must join different parts of {list(PARTS)} with '+'. "
            f"Received: method={name!r}"
        )
    base = [p for p in parts if p not in ("uncertainty", "self_auxiliary")]
    if len(base) > 1:
        raise ValueError(
            f"`method` can hold only one of {base}: each says by itself how "
            f"gradients are combined. Received: method={name!r}"
        )
    single = bool(base) and base[0] in SINGLE
    if single and "uncertainty" in parts:
        raise ValueError(
            "`method` weights tasks against each other with 'uncertainty', "
            f"but {base[0]!r} has one task. Received: method={name!r}"
        )
    if base == ["sum"] and len(parts) > 1:
        # The sum is what the other parts do anyway: one name for one thing.
        parts.remove("sum")
    return Method(
        name="+".join(sorted(parts, key=PARTS.index)),
        tasks=(SINGLE[base[0]],) if single else TASKS,
        aggregator=base[0] if base and base[0] in AGGREGATORS else None,
        uncertainty="uncertainty" in parts,
        self_auxiliary="self_auxiliary" in parts,
    )


def expand(names: Sequence[str]) -> list[str]:
    """Replaces `"single"` and `"all"` by what they stand for."""
    expanded = [part for name in names for part in GROUPS.get(name, (name,))]
    return list(dict.fromkeys(parse(name).name for name in expanded))


def default_learning_rate(method: Method, source: str) -> float:
    """The published learning rate, where there is one.

    MGDA's weights add up to one and those of the sum to two, so its rate is
    twice that of the sum: equally long steps where the tasks are balanced.
    """
    rate = 8e-4
    if method.self_auxiliary:
        rate = 6e-4 if source == "mnist" else 7e-4
    elif method.uncertainty:
        rate = 1e-3
    return 2 * rate if method.aggregator == "mgda_ub" else rate


def build_model(
    method: Method,
    *,
    size: str,
    source: str,
    learning_rate: float,
    jit_compile: bool | str = "auto",
) -> keras_mtl.MultiTaskModel:
    """Builds and compiles the network that a method trains.

    Args:
        method: What `parse` returned.
        size: `"small"`, `"medium"` or `"large"`.
        source: `"mnist"` or `"fashion_mnist"`, for the published settings.
        learning_rate: Of SGD with momentum 0.9.
        jit_compile: As for `keras.Model.compile`.

    Returns:
        A compiled `keras_mtl.MultiTaskModel`.
    """
    model = build_lenet(size, method.tasks, keras_mtl.MultiTaskModel)
    if method.self_auxiliary:
        model = keras_mtl.add_self_auxiliaries(
            model,
            REPRESENTATION,
            bottleneck=SMALL_BOTTLENECK[source] if size == "small" else None,
            **SELF_AUXILIARY[source],
        )
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate, momentum=0.9),
        loss={
            task: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for task in method.tasks
        },
        metrics={task: ["accuracy"] for task in method.tasks},
        aggregator=_aggregator(method),
        weighting=_uncertainty() if method.uncertainty else None,
        representation=(
            REPRESENTATION if method.aggregator == "mgda_ub" else None
        ),
        jit_compile=jit_compile,
    )
    return model


def _aggregator(method: Method):
    if method.aggregator == "pcgrad":
        return keras_mtl.aggregators.PCGrad(seed=0)
    if method.aggregator == "mgda_ub":
        return keras_mtl.aggregators.MGDA()
    if method.aggregator == "projection":
        return keras_mtl.aggregators.Projection(main_task="left")
    return None


def _uncertainty():
    # The start and the bounds of the authors' code, which has log(sigma) = 1
    # between 0.01 and 10: log(variance) is twice that.
    return keras_mtl.weightings.Uncertainty(
        initial_log_variance=2.0, min_log_variance=0.02, max_log_variance=20.0
    )
